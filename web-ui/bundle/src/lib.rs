//! The built web UI as bytes inside the program: one table, looked up by path.
//!
//! The table is empty when the web UI has not been built; `cargo xtask web` builds it. Nothing but
//! this crate and the program that links it is rebuilt when the web UI changes.

/// One file of the web UI, with its compressed forms where they are smaller.
#[derive(Debug, Clone, Copy)]
pub struct Asset {
    /// Without a leading slash: `index.html`, `app.0123456789abcdef.js`.
    pub path: &'static str,
    pub content_type: &'static str,
    /// A weak validator, quotes included, that holds for all three forms.
    pub etag: &'static str,
    /// The path contains the hash of the content, so it may be cached for ever.
    pub immutable: bool,
    pub plain: &'static [u8],
    pub brotli: Option<&'static [u8]>,
    pub gzip: Option<&'static [u8]>,
}

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// The file at this path; one leading slash is accepted.
pub fn find(path: &str) -> Option<&'static Asset> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let index = ASSETS.binary_search_by(|asset| asset.path.cmp(path)).ok()?;
    ASSETS.get(index)
}

/// Every file, sorted by path; empty when the web UI has not been built.
pub fn all() -> &'static [Asset] {
    ASSETS
}

#[cfg(test)]
#[path = "../table.rs"]
mod table;

#[cfg(test)]
mod tests {
    use super::{all, find, table};
    use std::fs;

    #[test]
    fn every_asset_is_found_by_its_path_and_nothing_else_is() {
        for asset in all() {
            assert_eq!(find(asset.path).map(|found| found.etag), Some(asset.etag));
            assert!(find(&format!("/{}", asset.path)).is_some());
            assert!(find(&format!("{}.br", asset.path)).is_none());
        }
        assert!(find("").is_none());
        assert!(find("no/such/file").is_none());
    }

    #[test]
    fn a_folder_becomes_entries_sorted_by_path_with_their_compressed_forms() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, content: &str| fs::write(folder.path().join(name), content).unwrap();
        fs::create_dir(folder.path().join("icons")).unwrap();
        write("index.html", "<p>");
        write("app.0123456789abcdef.js", "1");
        write("app.0123456789abcdef.js.br", "br");
        write("app.0123456789abcdef.js.gz", "gz");
        write("icons/logo.svg", "<svg/>");
        write("lonely.gz", "not the compressed form of anything");
        write(".stamp", "left out");

        let entries = table::read(folder.path()).unwrap();

        let paths: Vec<_> = entries.iter().map(|entry| entry.path.as_str()).collect();
        assert_eq!(paths, ["app.0123456789abcdef.js", "icons/logo.svg", "index.html", "lonely.gz"]);
        let app = &entries[0];
        assert!(app.immutable && app.brotli.is_some() && app.gzip.is_some());
        assert_eq!(app.content_type, "text/javascript; charset=utf-8");
        let index = &entries[2];
        assert!(!index.immutable && index.brotli.is_none());
        assert!(index.etag.starts_with("W/\"3-") && index.etag.ends_with('"'));
        assert_ne!(index.etag, app.etag);
    }

    #[test]
    fn the_source_names_each_form_of_a_file() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.css"), "a{}").unwrap();
        fs::write(folder.path().join("a.css.br"), "x").unwrap();

        let source = table::source(&table::read(folder.path()).unwrap());

        assert!(source.contains("path: \"a.css\""));
        assert!(source.contains("brotli: Some(include_bytes!("));
        assert!(source.contains("gzip: None"));
        assert_eq!(table::source(&[]), "static ASSETS: &[Asset] = &[\n];\n");
    }
}
