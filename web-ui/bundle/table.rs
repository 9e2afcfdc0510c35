//! From a folder of finished files to the Rust source of a table, sorted by path.
//!
//! `name.br` and `name.gz` beside `name` are its compressed forms, not files of their own. Names
//! that begin with a dot are left out.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hasher as _};
use std::path::{Path, PathBuf};
use std::{fs, io};

/// One file that the server can answer with.
#[derive(Debug)]
pub struct Entry {
    /// Relative to the folder, with `/` between its parts.
    pub path: String,
    pub content_type: &'static str,
    pub etag: String,
    pub immutable: bool,
    pub plain: PathBuf,
    pub brotli: Option<PathBuf>,
    pub gzip: Option<PathBuf>,
}

/// Reads the folder and everything below it.
pub fn read(folder: &Path) -> io::Result<Vec<Entry>> {
    let mut files = BTreeMap::new();
    collect(folder, "", &mut files)?;
    let mut entries = Vec::new();
    for (path, plain) in &files {
        if path.strip_suffix(".br").or(path.strip_suffix(".gz")).is_some_and(|name| files.contains_key(name))
        {
            continue;
        }
        entries.push(Entry {
            path: path.clone(),
            content_type: content_type(path),
            etag: etag(&fs::read(plain)?),
            immutable: is_hashed(path),
            plain: plain.clone(),
            brotli: files.get(&format!("{path}.br")).cloned(),
            gzip: files.get(&format!("{path}.gz")).cloned(),
        });
    }
    Ok(entries)
}

/// The source of the `ASSETS` table for these entries.
pub fn source(entries: &[Entry]) -> String {
    let mut source = String::from("static ASSETS: &[Asset] = &[\n");
    for entry in entries {
        let embed = |file: &Path| format!("include_bytes!({:?})", file.display().to_string());
        let option = |file: &Option<PathBuf>| match file {
            Some(file) => format!("Some({})", embed(file)),
            None => "None".to_owned(),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(
            source,
            "    Asset {{ path: {:?}, content_type: {:?}, etag: {:?}, immutable: {}, plain: {}, brotli: {}, gzip: {} }},",
            entry.path,
            entry.content_type,
            entry.etag,
            entry.immutable,
            embed(&entry.plain),
            option(&entry.brotli),
            option(&entry.gzip),
        );
    }
    source.push_str("];\n");
    source
}

fn collect(folder: &Path, prefix: &str, files: &mut BTreeMap<String, PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_str().ok_or_else(|| {
            io::Error::other(format!("the name of {} is not UTF-8", entry.path().display()))
        })?;
        if name.starts_with('.') {
            continue;
        }
        let path = format!("{prefix}{name}");
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), &format!("{path}/"), files)?;
        } else {
            files.insert(path, entry.path());
        }
    }
    Ok(())
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("json" | "map") => "application/json",
        Some("webmanifest") => "application/manifest+json",
        Some("wasm") => "application/wasm",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("webp") => "image/webp",
        Some("ico") => "image/x-icon",
        Some("woff2") => "font/woff2",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

/// Weak, because the same tag goes out with the plain, the brotli and the gzip form.
fn etag(bytes: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    format!("W/\"{:x}-{:016x}\"", bytes.len(), hasher.finish())
}

/// `app.0123456789abcdef.js` carries the hash of its content, so it never changes under that name.
fn is_hashed(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let mut parts = name.rsplit('.').skip(1);
    match (parts.next(), parts.next()) {
        (Some(hash), Some(_)) => {
            hash.len() == 16 && hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        }
        _ => false,
    }
}
