//! The whole server through its public doors. One binary, so that it links once; the tree mirrors the doors.

mod attacks;
mod commands;
mod crash;
mod foreign;
mod support;
mod web;
