//! A backup told in a form for people and for other programs: a message a line as JSON, or a page to read.
//!
//! What always holds: memory does not grow with the messages, and nothing that a message says is more than text in a page.

mod html;
pub(crate) mod rows;
mod words;

use crate::about::{About, Kind};
use crate::file::guard;
use crate::{Error, Result};
use hongyan_wire::message::Message;
use rusqlite::{Connection, OpenFlags};
use serde::{Deserialize, Serialize};
use std::io::{BufWriter, Write};
use std::path::Path;

/// Gathered before it is written, in bytes.
const BUFFER: usize = 256 * 1024;
/// Messages between two looks whether to go on.
const STEP: u64 = 256;

/// The language of a page's labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    #[default]
    En,
    Zh,
}

impl Language {
    /// The one that a tag of a language means (RFC 5646): `zh`, `zh-Hant-TW`, `en-GB`; `None` where it is neither.
    pub fn named(tag: &str) -> Option<Self> {
        match tag.split(['-', '_']).next()?.to_ascii_lowercase().as_str() {
            "zh" => Some(Self::Zh),
            "en" => Some(Self::En),
            _ => None,
        }
    }
}

/// As what messages are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
    /// JSON Lines: each line is a message as the API has it, the newest last.
    JsonLines,
    /// One page of HTML that needs nothing else, the newest first. `name`: what the person is called; empty where only the
    /// id is known.
    Html { language: Language, name: String },
}

/// Tells what is in a full backup that is not packed; gives what the backup says of itself. `go_on` is asked now and then
/// with the part that is done, from 0 to 1: whether to. A file of elsewhere is to be looked through with [`crate::open`]
/// before.
///
/// # Errors
/// That it is no full backup, what is wrong with its rows, what the disk says, and that it was cancelled. A part may have
/// been written then.
pub fn export(
    path: &Path,
    format: &Format,
    out: &mut dyn Write,
    go_on: &mut dyn FnMut(f64) -> bool,
) -> Result<About> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    guard(&conn)?;
    let about = About::read(&conn, "main")?;
    if about.kind != Kind::Full {
        return Err(Error::NotFull);
    }
    let mut out = BufWriter::with_capacity(BUFFER, out);
    let mut told = 0u64;
    let mut counted = |message: Message, tell: &mut dyn FnMut(&Message) -> Result<()>| {
        tell(&message)?;
        told += 1;
        let part = told as f64 / about.messages.max(1) as f64;
        if told.is_multiple_of(STEP) && !go_on(part.min(1.0)) { Err(Error::Cancelled) } else { Ok(()) }
    };
    match format {
        Format::JsonLines => rows::each(&conn, rows::Order::OldestFirst, &mut |message| {
            counted(message, &mut |message| {
                serde_json::to_writer(&mut out, message).map_err(std::io::Error::from)?;
                Ok(out.write_all(b"\n")?)
            })
        })?,
        Format::Html { language, name } => {
            let mut page = html::Page::begin(&mut out, *language, name, &about)?;
            rows::each(&conn, rows::Order::NewestFirst, &mut |message| {
                counted(message, &mut |message| Ok(page.message(message)?))
            })?;
            page.end()?;
        }
    }
    out.flush()?;
    Ok(about)
}
