//! Bad days: stops, crashes, full disks, damaged files, wrong settings.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod crashes;
mod settings;
mod storage;
