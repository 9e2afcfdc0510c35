//! The other windows of this browser, which share the session: what one does the others hear of at once.

use super::Link;
use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;
use web_sys::{BroadcastChannel, MessageEvent};

const CHANNEL: &str = "hongyan";
const SIGNED_IN: &str = "signed in";
const SIGNED_OUT: &str = "signed out";

/// Listens for as long as the page lives.
pub fn listen(link: Link) {
    // Without it each window finds out by itself.
    let Ok(channel) = BroadcastChannel::new(CHANNEL) else { return };
    let heard = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
        match event.data().as_string().as_deref() {
            Some(SIGNED_OUT) => link.signed_out_elsewhere(),
            Some(SIGNED_IN) => link.resume_after_sign_in(),
            _ => {}
        }
    });
    channel.set_onmessage(Some(heard.as_ref().unchecked_ref()));
    heard.forget();
    // It is heard for as long as it is there.
    std::mem::forget(channel);
}

pub fn tell_signed_in() {
    tell(SIGNED_IN);
}

pub fn tell_signed_out() {
    tell(SIGNED_OUT);
}

fn tell(what: &str) {
    if let Ok(channel) = BroadcastChannel::new(CHANNEL) {
        let _ = channel.post_message(&what.into());
        channel.close();
    }
}
