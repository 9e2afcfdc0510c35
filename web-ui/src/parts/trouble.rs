//! What has not worked, in a line that screen readers hear.

use crate::state::page;
use crate::words::Words;
use hongyan_client::api::ApiError;
use hongyan_wire::error::ErrorType;
use leptos::html::P;
use leptos::prelude::*;
use web_sys::{ScrollIntoViewOptions, ScrollLogicalPosition};

/// Why something has not worked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    Empty,
    Wrong,
    /// Of someone who is signed in: only the password can be.
    WrongPassword,
    WrongOtp,
    Off,
    Passkey,
    NotTheSame,
    TooShort,
    LastWay,
    TooLarge,
    PassphraseTooShort,
    NotConfirmed,
    /// A file that cannot be put back.
    NoBackup,
    /// More than can be put back at once.
    TooMuch,
    NotAccepted,
    /// For so many minutes.
    TooOften(i64),
    Busy,
    Unreachable,
    NotUnderstood,
}

impl Trouble {
    /// Of any call.
    pub fn of(error: &ApiError) -> Self {
        match error {
            ApiError::Refused(ErrorType::SecondFactorRequired) => Self::WrongOtp,
            ApiError::Refused(ErrorType::TooLarge) => Self::TooLarge,
            ApiError::Refused(ErrorType::RecentSignInRequired) => Self::NotConfirmed,
            ApiError::Refused(_) => Self::NotAccepted,
            ApiError::Unreachable { retry_after_ms: Some(wait) } if *wait > 60_000 => {
                Self::TooOften(wait.saturating_add(59_999).div_euclid(60_000))
            }
            ApiError::Unreachable { retry_after_ms: Some(_) } => Self::Busy,
            ApiError::Unreachable { retry_after_ms: None } => Self::Unreachable,
            ApiError::Unexpected(_) => Self::NotUnderstood,
        }
    }

    /// Of one that brings a password.
    pub fn of_login(error: &ApiError) -> Self {
        match error {
            ApiError::Refused(ErrorType::Unauthenticated | ErrorType::ValidationFailed) => Self::Wrong,
            ApiError::Refused(ErrorType::PermissionDenied) => Self::Off,
            error => Self::of(error),
        }
    }

    /// Of one that brings the password of who is signed in.
    pub fn of_proof(error: &ApiError) -> Self {
        match Self::of_login(error) {
            Self::Wrong => Self::WrongPassword,
            other => other,
        }
    }

    fn told(self, words: &Words) -> String {
        let account = words.account;
        match self {
            Self::Empty => words.fill_in_both,
            Self::Wrong => words.wrong_password,
            Self::WrongPassword => account.wrong_password,
            Self::TooLarge => account.too_large,
            Self::PassphraseTooShort => account.passphrase_too_short,
            Self::NotConfirmed => account.not_confirmed,
            Self::NoBackup => account.no_backup,
            Self::TooMuch => account.too_much,
            Self::WrongOtp => account.otp_wrong,
            Self::Off => words.local_login_off,
            Self::Passkey => account.passkey_failed,
            Self::NotTheSame => account.not_the_same,
            Self::TooShort => account.too_short,
            Self::LastWay => account.last_way,
            Self::NotAccepted => account.not_accepted,
            Self::TooOften(minutes) => return (account.wait_minutes)(minutes),
            Self::Busy => words.too_often,
            Self::Unreachable => words.unreachable,
            Self::NotUnderstood => words.not_understood,
        }
        .to_owned()
    }
}

/// Scrolls so far that a line is seen, once it is there: it may be below what is.
pub fn into_sight(line: NodeRef<P>) {
    request_animation_frame(move || {
        let Some(line) = line.try_get_untracked().flatten() else { return };
        let how = ScrollIntoViewOptions::new();
        how.set_block(ScrollLogicalPosition::Nearest);
        line.scroll_into_view_with_scroll_into_view_options(&how);
    });
}

#[component]
pub fn TroubleLine(trouble: RwSignal<Option<Trouble>>) -> impl IntoView {
    let state = page();
    let line = NodeRef::<P>::new();
    Effect::new(move || {
        if trouble.get().is_some() {
            into_sight(line);
        }
    });
    view! {
        <p class="error" role="alert" data-testid="error" node_ref=line hidden=move || trouble.get().is_none()>
            {move || trouble.get().map(|trouble| trouble.told(state.words()))}
        </p>
    }
}
