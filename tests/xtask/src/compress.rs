//! The compressed forms of a file, made once at build time.

use std::io::Write as _;

use anyhow::Result;

/// The best there is: it takes about two seconds for the whole web UI, once for each change.
const BROTLI_QUALITY: i32 = 11;

/// Formats that are compressed already would only grow.
pub fn is_compressible(path: &str) -> bool {
    let extension = path.rsplit('.').next().unwrap_or_default();
    ["html", "css", "js", "json", "wasm", "svg", "txt", "webmanifest", "ico"].contains(&extension)
}

pub fn brotli(content: &[u8]) -> Result<Vec<u8>> {
    let parameters = brotli::enc::BrotliEncoderParams {
        quality: BROTLI_QUALITY,
        size_hint: content.len(),
        ..Default::default()
    };
    let mut compressed = Vec::new();
    brotli::BrotliCompress(&mut &content[..], &mut compressed, &parameters)?;
    Ok(compressed)
}

pub fn gzip(content: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(content)?;
    Ok(encoder.finish()?)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::{brotli, gzip};

    #[test]
    fn both_forms_unpack_to_the_same_bytes() {
        let content = b"Hongyan carries letters. ".repeat(400);

        let mut unpacked = Vec::new();
        brotli::BrotliDecompress(&mut &brotli(&content).unwrap()[..], &mut unpacked).unwrap();
        assert!(unpacked == content);

        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(&gzip(&content).unwrap()[..]).read_to_end(&mut unpacked).unwrap();
        assert!(unpacked == content);
    }
}
