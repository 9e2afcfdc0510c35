//! The browser's passkeys: what `navigator.credentials` is asked and what it answers, as JSON (Web Authentication Level 3,
//! sections 5.1.8 to 5.1.10). Looked up by name, since the bindings do not know all of it.

use hongyan_wire::profile::{PasskeyAnswer, PasskeyChallenge};
use js_sys::{Function, JSON, Object, Promise, Reflect};
use leptos::prelude::window;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

/// Whether this browser has what it takes.
pub fn are_there() -> bool {
    class().is_some_and(|class| function(&class, "parseRequestOptionsFromJSON").is_some())
}

/// Asks for a passkey that is there.
pub async fn get(challenge: PasskeyChallenge) -> Option<PasskeyAnswer> {
    perform(challenge, "parseRequestOptionsFromJSON", "get").await
}

/// Makes a new one.
pub async fn create(challenge: PasskeyChallenge) -> Option<PasskeyAnswer> {
    perform(challenge, "parseCreationOptionsFromJSON", "create").await
}

/// `None` when the person does not want to, or the browser cannot.
async fn perform(challenge: PasskeyChallenge, parse: &str, act: &str) -> Option<PasskeyAnswer> {
    let class = class()?;
    let options = JSON::parse(&challenge.options.to_string()).ok()?;
    let parsed = function(&class, parse)?.call1(&class, &options).ok()?;
    let wrapped = Object::new();
    Reflect::set(&wrapped, &"publicKey".into(), &parsed).ok()?;
    let credentials = Reflect::get(&window().navigator(), &"credentials".into()).ok()?;
    let promise: Promise =
        function(&credentials, act)?.call1(&credentials, &wrapped).ok()?.dyn_into().ok()?;
    let credential = JsFuture::from(promise).await.ok()?;
    let json = function(&credential, "toJSON")?.call0(&credential).ok()?;
    let text = JSON::stringify(&json).ok()?.as_string()?;
    let credential = serde_json::from_str(&text).ok()?;
    Some(PasskeyAnswer { challenge_id: challenge.challenge_id, credential })
}

fn class() -> Option<JsValue> {
    let class = Reflect::get(&window(), &"PublicKeyCredential".into()).ok()?;
    class.is_function().then_some(class)
}

fn function(of: &JsValue, name: &str) -> Option<Function> {
    Reflect::get(of, &name.into()).ok()?.dyn_into().ok()
}
