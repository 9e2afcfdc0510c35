//! Which page an address asks for. Everything stands after `#`, which no server sees.

use hongyan_wire::MessageId;

/// Before the id of the open message.
pub const MESSAGE: &str = "#/message/";
/// Before a one-time link's token.
const LINK: &str = "#/link/";
/// Before the id of a program's request.
const AUTHORIZE: &str = "#/authorize/";
pub const SETTINGS: &str = "#/settings";

/// A page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// With the message that is open.
    Inbox(Option<MessageId>),
    SignIn(Option<Refusal>),
    Settings(Option<Refusal>),
    /// A program waits to be signed in.
    Authorize(String),
    /// A one-time link, by its token.
    Invited(String),
}

impl Default for Route {
    fn default() -> Self {
        Self::Inbox(None)
    }
}

/// Why a provider's sign-in has ended without one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// One of a set of words of the server's.
    pub code: String,
    /// The provider's id.
    pub provider: String,
}

/// Reads what stands in the address from `#` on.
pub fn read(hash: &str) -> Route {
    let (path, query) = hash.split_once('?').unwrap_or((hash, ""));
    let named = |name: &str| {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.filter(|(known, _)| *known == name).map(|(_, value)| value.to_owned()).next()
    };
    let refusal =
        named("error").map(|code| Refusal { code, provider: named("provider").unwrap_or_default() });
    if let Some(id) = path.strip_prefix(MESSAGE) {
        Route::Inbox(MessageId::new(id).ok())
    } else if let Some(token) = path.strip_prefix(LINK) {
        Route::Invited(token.to_owned())
    } else if let Some(id) = path.strip_prefix(AUTHORIZE) {
        Route::Authorize(id.to_owned())
    } else if path.starts_with(SETTINGS) {
        Route::Settings(refusal)
    } else if path == "#/sign-in" {
        Route::SignIn(refusal)
    } else {
        Route::Inbox(None)
    }
}
