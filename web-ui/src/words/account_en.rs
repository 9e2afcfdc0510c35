//! English: signing in, and settings.

use super::account::AccountWords;
use hongyan_wire::backup::{RestoreAnswer, RestoreFault};
use hongyan_wire::error::ErrorType;

pub static WORDS: AccountWords = AccountWords {
    settings: "Settings",
    back_to_inbox: "Back to the inbox",
    with_passkey: "Sign in with a passkey",
    passkey_failed: "The passkey could not be used.",
    otp: "Code",
    otp_lead: "Enter the six digits that your authenticator shows, or a recovery code.",
    otp_wrong: "That code is not right, or was used before.",
    no_way_in: "No way to sign in is set up on this server yet.",
    too_often: "Too many sign-ins were begun and not finished. Please try again in a few minutes.",
    wrong_password: "The password is not right. Please try again.",
    too_large: "The file is too large: a picture may have 5 MiB.",
    scopes_between: ", ",
    denied: "You declined. You can try again, or sign in another way.",
    expired: "That took too long, or was used already. Please try again.",
    foreign_browser: "Please finish signing in within the browser in which you began.",
    provider_unreachable: "The sign-in service cannot be reached right now. Try again later, or sign in another way.",
    provider_error: "The sign-in service gave an answer that cannot be accepted. Please try again.",
    not_a_member: "Your account there does not belong to the organisation that may sign in here.",
    not_invited: "You have not been invited yet. Please ask an administrator.",
    account_disabled: "Your account is switched off. Please ask an administrator.",
    already_linked: "That account belongs to another user here.",
    wrong_account: "The sign-in or the link that this was for has ended. Please begin again.",
    went_wrong: "Something went wrong. Please try again.",
    authorize: "Sign in an app",
    desktop: "The desktop app",
    admin_console: "The admin console",
    allow: "Allow",
    deny: "Deny",
    other_account: "Use another account",
    request_gone: "This request has expired. Please start again in the app.",
    may_close: "You can close this window and go back to the app.",
    link_gone: "This link was used or has expired. Please ask for a new one.",
    link_lead: "Set a password, or link an account to sign in with.",
    new_password: "New password (at least 8 characters)",
    again: "Once more",
    not_the_same: "The two are not the same.",
    too_short: "A password needs at least 8 characters.",
    save: "Save",
    saved: "Saved.",
    not_accepted: "That was not accepted. Please check what you entered.",
    profile: "Profile",
    name: "Name",
    label: "Name",
    by_password: "password",
    by_passkey: "passkey",
    not_confirmed: "Not done: you have not confirmed who you are.",
    email: "E-mail",
    choose_picture: "Choose a picture",
    remove_picture: "Remove the picture",
    devices: "Devices",
    this_device: "This device",
    end: "Sign out",
    end_others: "Sign out everywhere else",
    sure: "Sure?",
    last_seen: "Last seen: ",
    security: "Signing in",
    change_password: "Change password",
    set_password: "Set a password",
    current_password: "Current password",
    password_changed: "The password is set. Other devices are signed out, and personal tokens have ended.",
    totp: "Authenticator",
    totp_off_lead: "Besides the password, six digits from your phone.",
    totp_on_lead: "It is on.",
    totp_start: "Set up",
    totp_scan: "Scan this with your authenticator, then enter the six digits it shows.",
    turn_on: "Turn on",
    turn_off: "Turn off",
    recovery: "Recovery codes",
    recovery_lead: "Keep these somewhere safe: each takes the place of the authenticator once. They are shown this once.",
    passkeys: "Passkeys",
    passkeys_lead: "Sign in with your fingerprint, your face or the device PIN.",
    add: "Add",
    remove: "Remove",
    identities: "Linked accounts",
    link_account: |name| format!("Link {name}"),
    last_way: "It is the last way to sign in. Set a password or link another account first.",
    backups: "Backups",
    backups_lead: "Your messages as one file: a database that any SQLite program opens, a page to read, or lines of JSON. It can be downloaded until the time that is shown.",
    backup_passphrase: "Passphrase, if it is to be encrypted (at least 12 characters)",
    backup_make: "Make and download",
    restore: "Restore a backup",
    restore_lead: "Messages that are missing are added, nothing is taken away or doubled. Then all your devices load everything again, by themselves.",
    restore_files: "A full backup, and its increments if there are any",
    restore_passphrase: "Its passphrase or AGE-SECRET-KEY-1…, if it is encrypted",
    restore_sending: "Being sent…",
    restore_working: "Being put back…",
    restored: |RestoreAnswer { restored, known, gone, states }| {
        let mut told = match restored {
            0 => "Nothing was missing.".to_owned(),
            1 => "1 message was put back.".to_owned(),
            many => format!("{many} messages were put back."),
        };
        if known > 0 {
            told += &format!(" {known} {} there already.", if known == 1 { "was" } else { "were" });
        }
        if gone > 0 {
            told += &format!(" {gone} had been taken back or had expired.");
        }
        if states > 0 {
            told += " Read states were taken over.";
        }
        told
    },
    no_backup: "This cannot be put back. Nothing was changed.",
    too_much: "This is more than can be put back at once. Nothing was changed.",
    restore_fault: |fault| match fault {
        RestoreFault::NotABackup => {
            "This is no backup. Web pages and JSON lines are for reading; what can be restored is a database."
        }
        RestoreFault::Damaged => "The file is damaged, or not all of it is there.",
        RestoreFault::Newer => "It was made by a newer version than the server has.",
        RestoreFault::OtherPerson => "It is another person's.",
        RestoreFault::Locked => "It is encrypted: give the passphrase or the key too.",
        RestoreFault::WrongKey => "It was encrypted for another passphrase or key.",
        RestoreFault::Incomplete => "A full backup is needed, and every increment between it and the last.",
    },
    backup_format: "Format",
    format_database: "Database (SQLite)",
    format_html: "Web page",
    format_jsonl: "JSON lines",
    job_waiting: "A backup waits for its turn",
    job_running: |percent| format!("A backup is being made: {percent} %"),
    job_failed: |error| match error {
        Some(ErrorType::TooLarge) => {
            "The backup could not be made: it would be larger than all of yours may be together."
        }
        Some(ErrorType::Overloaded) => {
            "The backup could not be made: the server was busy or has been restarted (then a passphrase is gone). Make it again."
        }
        _ => "The backup could not be made. Make it again later.",
    },
    job_cancel: "Cancel",
    backup_of: |messages, size| {
        let noun = if messages == 1 { "message" } else { "messages" };
        format!("{messages} {noun} · {size}")
    },
    passphrase_too_short: "A passphrase needs at least 12 characters: whoever has the file may try for as long as they like.",
    download: "Download",
    tokens: "Personal tokens",
    tokens_lead: "For scripts, limited to what you allow.",
    scope_read: "read",
    scope_write: "write",
    scope_self: "send to myself",
    make: "Make",
    token_once: "Copy it now: it is shown this once.",
    never_expires: "does not end",
    until: "until ",
    confirm_title: "Please confirm that it is you",
    confirm_lead: "This takes someone who has signed in within the last ten minutes.",
    confirm: "Confirm",
    sign_in_again: "Sign in again",
    wechat: "WeChat",
    wecom: "WeCom",
    dingtalk: "DingTalk",
    sign_in_with: |name| format!("Sign in with {name}"),
    at: |provider, sentence| format!("{provider}: {sentence}"),
    greeting: |name| format!("Hello {name}"),
    wants: |program, device, who| match device {
        "" => format!("{program} wants to be signed in as {who}."),
        _ => format!("{program} on {device} wants to be signed in as {who}."),
    },
    wait_minutes: |minutes| match minutes {
        1 => "That has failed too often. Please try again in a minute.".into(),
        _ => format!("That has failed too often. Please try again in {minutes} minutes."),
    },
    codes_left: |count| match count {
        1 => "1 recovery code is left.".into(),
        _ => format!("{count} recovery codes are left."),
    },
};
