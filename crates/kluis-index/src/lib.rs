//! Studies, series, instances and the directory of devices and people. The only crate with SQL.
