//! The desktop app's rooms. The app itself is still to come; what it will share with the page in the
//! browser, the wire and the sync engine, is in `hongyan-wire` and `hongyan-client`.
//!
//! | room | what it is for |
//! | --- | --- |
//! | `controller` | runs the client core: one loop, effects out, events in |
//! | `bridge` | between the page and the controller: one command, one event |
//! | `os` | what the system gives, behind a trait: notify, tray, secrets, open |
//! | `account` | the signed-in account, its tokens in the system's keyring |
//! | `mirror` | the local copy of the inbox, in SQLite |
