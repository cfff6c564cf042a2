//! Foreign programs at the public doors.
