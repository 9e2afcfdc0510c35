//! Pictures of people: whatever comes in is decoded and written anew, small and always in the same format, so that nothing
//! of what someone has put into a file gets to anyone's browser.

use crate::directory::Directory;
use crate::error::{Error, Result};
use crate::guard::{self, Guard};
use crate::log::Journal;
use crate::log::record::{AvatarSet, Change, Record};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::StreamExt;
use hongyan_wire::UserId;
use hongyan_wire::limits::PICTURE_MAX;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::FilterType;
use image::{DynamicImage, ImageReader, Limits, Rgb, RgbImage};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use smol_str::{SmolStr, format_smolstr};
use std::collections::HashSet;
use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Width and height of what is kept, in pixels.
const SIDE: u32 = 192;
/// Largest width and height of what comes in.
const SIDE_MAX: u32 = 10_000;
/// Memory that decoding may take, in bytes.
const DECODED_MAX: u64 = 128 * 1024 * 1024;
const QUALITY: u8 = 85;
/// Decoded at one time.
const AT_ONCE: usize = 1;
/// Fetched at one time, and waiting to be.
const FETCHES_MAX: usize = 64;
/// Pictures that people are sending at one moment.
const TAKEN_MAX: usize = 32;
/// How long a picture may take to come.
const PATIENCE: Duration = Duration::from_secs(10);

/// Fetches, decodes and keeps pictures.
pub struct Pictures {
    client: reqwest::Client,
    guard: Arc<Guard>,
    directory: Arc<Directory>,
    journal: Journal,
    at_work: Arc<Semaphore>,
    fetching: Arc<Semaphore>,
    taking: Arc<Semaphore>,
    /// Who is sending one.
    senders: Mutex<HashSet<UserId>>,
}

/// A place to take a picture in, until it is dropped.
pub struct Place<'a> {
    pictures: &'a Pictures,
    user: UserId,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.pictures.senders.lock().remove(&self.user);
    }
}

impl Pictures {
    /// Fails when the system allows no sockets at all.
    pub fn new(
        directory: Arc<Directory>,
        journal: Journal,
        guard: Arc<Guard>,
    ) -> Result<Self, reqwest::Error> {
        let client = client(&guard)?;
        let places = |n| Arc::new(Semaphore::new(n));
        let (at_work, fetching, taking) = (places(AT_ONCE), places(FETCHES_MAX), places(TAKEN_MAX));
        Ok(Self { client, guard, directory, journal, at_work, fetching, taking, senders: Mutex::default() })
    }

    /// A place to take a person's picture in: each may hold 5 MiB until its last byte is there.
    ///
    /// # Errors
    /// Overloaded when all are taken, or the person has one already.
    pub fn place(&self, user: &UserId) -> Result<Place<'_>> {
        let permit = self.taking.clone().try_acquire_owned();
        let permit = permit.map_err(|_| Error::overloaded("many pictures are being sent; try again"))?;
        if !self.senders.lock().insert(user.clone()) {
            return Err(Error::overloaded("you are sending a picture already"));
        }
        Ok(Place { pictures: self, user: user.clone(), _permit: permit })
    }

    /// Takes a picture that a person has sent.
    pub async fn set(&self, user: &UserId, bytes: Vec<u8>) -> Result<()> {
        let wanted = "must be a PNG, JPEG, GIF or WebP picture of at most 10,000 by 10,000 pixels";
        let picture = self.written_anew(bytes).await?.ok_or_else(|| Error::field("body", wanted))?;
        self.keep(user, Some(picture)).await
    }

    /// Takes a person's picture away.
    pub async fn clear(&self, user: &UserId) -> Result<()> {
        self.keep(user, None).await
    }

    /// Fetches a picture from a provider, some time soon, for who has none. Without it they have none.
    pub fn fetch(self: &Arc<Self>, user: &UserId, url: String) {
        let Ok(place) = self.fetching.clone().try_acquire_owned() else { return };
        if self.has_one(user) || self.guard.refuses(&url).is_some() || !has_usual_port(&url) {
            return;
        }
        let (this, user) = (self.clone(), user.clone());
        tokio::spawn(async move {
            if let Some(bytes) = fetched(&this.client, &url).await
                // They may have chosen one meanwhile.
                && !this.has_one(&user)
            {
                // Told where it failed.
                let _ = this.set(&user, bytes).await;
            }
            drop(place);
        });
    }

    /// Whether a person has a picture, or is not there.
    fn has_one(&self, user: &UserId) -> bool {
        self.directory.person(user).is_ok_and(|person| person.is_none_or(|person| person.avatar.is_some()))
    }

    async fn written_anew(&self, bytes: Vec<u8>) -> Result<Option<Vec<u8>>> {
        let permit = self.at_work.clone().acquire_owned().await;
        let work = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            written_anew(&bytes)
        });
        work.await.map_err(Error::internal)
    }

    async fn keep(&self, user: &UserId, picture: Option<Vec<u8>>) -> Result<()> {
        let name: Option<SmolStr> = picture.as_ref().map(|picture| name(picture));
        let picture = picture.map(|picture| STANDARD.encode(picture));
        let what = AvatarSet { user: user.clone(), picture, name };
        let change = Change { actor: user.as_str().into(), at: crate::clock::now(), what };
        self.journal.append_applied(Record::AvatarSet(Box::new(change))).await?;
        Ok(())
    }
}

/// What a picture is called: it follows from what is in it, and nobody finds it who does not know that.
fn name(picture: &[u8]) -> SmolStr {
    let hash = Sha256::digest(picture);
    let digits: String = hash[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    format_smolstr!("{digits}.jpg")
}

/// The picture as JPEG, square and small; `None` when it is none that we know.
fn written_anew(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().ok()?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(SIDE_MAX);
    limits.max_image_height = Some(SIDE_MAX);
    limits.max_alloc = Some(DECODED_MAX);
    reader.limits(limits);
    let picture = reader.decode().ok()?;
    // The square in its middle, cut out first: scaling a long thin picture by its short side would make it enormous.
    let (width, height) = (picture.width(), picture.height());
    let side = width.min(height);
    let square = picture.crop_imm((width - side) / 2, (height - side) / 2, side, side);
    let picture = square.resize_exact(SIDE, SIDE, FilterType::Triangle);
    let mut written = Vec::new();
    JpegEncoder::new_with_quality(&mut written, QUALITY).encode_image(&on_white(&picture)).ok()?;
    Some(written)
}

/// What can be seen through becomes white.
fn on_white(picture: &DynamicImage) -> RgbImage {
    let picture = picture.to_rgba8();
    RgbImage::from_fn(picture.width(), picture.height(), |x, y| {
        let [red, green, blue, alpha] = picture.get_pixel(x, y).0;
        let over =
            |part: u8| ((u32::from(part) * u32::from(alpha) + 255 * (255 - u32::from(alpha))) / 255) as u8;
        Rgb([over(red), over(green), over(blue)])
    })
}

/// What fetches pictures.
fn client(guard: &Arc<Guard>) -> Result<reqwest::Client, reqwest::Error> {
    guard::client(guard, |client| client.timeout(PATIENCE).pool_max_idle_per_host(0))
}

/// A picture from elsewhere; none that is too large, too slow, or anywhere but at this address.
async fn fetched(client: &reqwest::Client, url: &str) -> Option<Vec<u8>> {
    let response = client.get(url).send().await.ok()?;
    if response.status().as_u16() != 200 {
        return None;
    }
    let mut bytes = Vec::new();
    let mut stream = response.bytes_stream();
    while let Some(chunk) = stream.next().await {
        bytes.extend_from_slice(&chunk.ok()?);
        if bytes.len() > PICTURE_MAX {
            return None;
        }
    }
    Some(bytes)
}

/// Whether a URL is of the port that its scheme has: pictures are nowhere else, and other services of a network may be.
fn has_usual_port(url: &str) -> bool {
    reqwest::Url::parse(url).is_ok_and(|url| url.port().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ImageFormat, Rgba, RgbaImage};

    fn png(width: u32, height: u32) -> Vec<u8> {
        let picture = RgbaImage::from_pixel(width, height, Rgba([255, 0, 0, 128]));
        let mut bytes = Cursor::new(Vec::new());
        picture.write_to(&mut bytes, ImageFormat::Png).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn a_picture_is_written_anew_small_and_square() {
        let mut bytes = png(300, 200);
        bytes.extend_from_slice(b"<script>alert(1)</script>");
        let written = written_anew(&bytes).unwrap();
        assert!(!written.windows(8).any(|part| part == b"<script>"));
        let read = image::load_from_memory_with_format(&written, ImageFormat::Jpeg).unwrap();
        assert_eq!((read.width(), read.height()), (SIDE, SIDE));
        assert!(name(&written).len() == 36 && name(&written).ends_with(".jpg"));
    }

    #[test]
    fn a_long_thin_picture_costs_no_more_than_another() {
        let began = std::time::Instant::now();
        assert!(written_anew(&png(SIDE_MAX, 1)).is_some());
        assert!(began.elapsed() < std::time::Duration::from_secs(5), "it was scaled before it was cut");
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        for bad in
            [&b""[..], b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"<html>", b"\x89PNG\r\n\x1a\nxxxx"]
        {
            assert!(written_anew(bad).is_none());
        }
        // The head says 50,000 by 50,000; little follows.
        let mut huge = png(1, 1);
        huge[16..24].copy_from_slice(&[0, 0, 0xc3, 0x50, 0, 0, 0xc3, 0x50]);
        assert!(written_anew(&huge).is_none());
    }

    #[tokio::test]
    async fn a_picture_elsewhere_is_taken_from_its_own_place_and_within_its_bounds() {
        use axum::response::Redirect;
        use axum::routing::get;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let router = axum::Router::new()
            .route("/good", get(async || png(2, 2)))
            .route("/away", get(async || Redirect::to("/good")))
            .route("/large", get(async || vec![0u8; PICTURE_MAX + 1]))
            .route("/none", get(async || axum::http::StatusCode::NO_CONTENT));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let allowed =
            client(&Arc::new(Guard::new(["127.0.0.1".to_owned(), "localhost".to_owned()]))).unwrap();
        let get = |path: &str| fetched_owned(allowed.clone(), format!("{base}{path}"));
        assert_eq!(get("/good").await, Some(png(2, 2)));
        for bad in ["/away", "/large", "/none", "/nothing"] {
            assert_eq!(get(bad).await, None, "{bad}");
        }
        // By a name, what it means is looked at where it is called.
        let by_name = base.replace("127.0.0.1", "localhost");
        let strict = client(&Arc::new(Guard::default())).unwrap();
        assert_eq!(fetched(&strict, &format!("{by_name}/good")).await, None);
        assert_eq!(fetched(&allowed, &format!("{by_name}/good")).await, Some(png(2, 2)));
        assert!(has_usual_port("https://a.example/p") && has_usual_port("http://a.example:80/p"));
        assert!(!has_usual_port("https://a.example:8443/p") && !has_usual_port("no url"));
    }

    async fn fetched_owned(client: reqwest::Client, url: String) -> Option<Vec<u8>> {
        fetched(&client, &url).await
    }
}
