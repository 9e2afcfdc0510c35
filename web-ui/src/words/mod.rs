//! Every word that a person sees, in Chinese and English. The compiler sees to it that none is missing.

mod account;
mod account_en;
mod account_zh;
mod en;
mod zh;

pub use account::AccountWords;

use leptos::prelude::*;

const KEY: &str = "hongyan.language";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    Zh,
    En,
}

/// The words of one language.
pub struct Words {
    pub code: &'static str,
    pub account: &'static AccountWords,
    /// The name of the other language, in that language.
    pub other_language: &'static str,
    pub username: &'static str,
    pub password: &'static str,
    pub sign_in: &'static str,
    pub signing_in: &'static str,
    pub sign_in_lead: &'static str,
    pub sign_out: &'static str,
    pub wrong_password: &'static str,
    pub fill_in_both: &'static str,
    pub too_often: &'static str,
    pub unreachable: &'static str,
    pub local_login_off: &'static str,
    pub not_understood: &'static str,
    pub inbox: &'static str,
    pub filters: &'static str,
    pub all: &'static str,
    pub unread: &'static str,
    pub channels: &'static str,
    pub mark_all_read: &'static str,
    pub mark_channel_read: &'static str,
    pub mark_unread: &'static str,
    pub mark_read: &'static str,
    pub back: &'static str,
    pub load_older: &'static str,
    pub loading: &'static str,
    pub no_older: &'static str,
    pub window_full: &'static str,
    pub empty_inbox: &'static str,
    pub empty_inbox_lead: &'static str,
    pub empty_unread: &'static str,
    pub empty_channel: &'static str,
    pub choose: &'static str,
    pub gone: &'static str,
    pub attachments: &'static str,
    pub high_priority: &'static str,
    pub from: &'static str,
    pub expires: &'static str,
    pub connecting: &'static str,
    pub online: &'static str,
    pub syncing: &'static str,
    pub offline: &'static str,
    pub restarting: &'static str,
    pub replaced: &'static str,
    pub use_here: &'static str,
    pub retry_now: &'static str,
    pub notify_on: &'static str,
    pub notify_off: &'static str,
    pub notify_denied: &'static str,
    pub system: &'static str,
    pub cancel: &'static str,
    pub press_failed: &'static str,
    /// Before a `confirm` is pressed; takes its text.
    pub really: fn(&str) -> String,
    pub pressed_by_you: fn(&str) -> String,
    /// Takes who it was, and what.
    pub pressed_by: fn(&str, &str) -> String,
    pub unread_count: fn(u64) -> String,
    pub retry_in: fn(i64) -> String,
    pub unconfirmed: fn(usize) -> String,
    /// How long ago, in seconds.
    pub ago: fn(i64) -> String,
    pub size: fn(u64) -> String,
}

impl Language {
    pub fn words(self) -> &'static Words {
        match self {
            Self::Zh => &zh::WORDS,
            Self::En => &en::WORDS,
        }
    }

    pub fn other(self) -> Self {
        match self {
            Self::Zh => Self::En,
            Self::En => Self::Zh,
        }
    }

    /// What was chosen in this browser before, or else what the browser speaks.
    pub fn preferred() -> Self {
        let window = window();
        let chosen = window.local_storage().ok().flatten().and_then(|kept| kept.get_item(KEY).ok().flatten());
        let spoken = || window.navigator().language();
        match chosen.or_else(spoken) {
            Some(code) if code.to_ascii_lowercase().starts_with("zh") => Self::Zh,
            _ => Self::En,
        }
    }

    pub fn remember(self) {
        if let Ok(Some(kept)) = window().local_storage() {
            // Not remembered is only chosen again.
            let _ = kept.set_item(KEY, self.words().code);
        }
    }
}

/// 1.5 MB and the like: the same in both languages.
fn bytes(size: u64) -> String {
    const UNITS: [&str; 4] = ["B", "KB", "MB", "GB"];
    let mut value = size as f64;
    let mut unit = 0;
    while value >= 1_000.0 && unit < UNITS.len() - 1 {
        value /= 1_000.0;
        unit += 1;
    }
    if unit == 0 { format!("{size} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}
