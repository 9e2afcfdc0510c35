//! Files on their way to the server: sent from the disk as they are, however large, with how far they have got.

use super::Link;
use hongyan_client::api::{self, ApiError};
use hongyan_client::platform::{Method, Reply};
use hongyan_wire::Timestamp;
use hongyan_wire::backup::RestoreFault;
use hongyan_wire::error::{ErrorType, Failure};
use hongyan_wire::profile::Security;
use js_sys::Promise;
use serde::de::DeserializeOwned;
use wasm_bindgen::JsCast;
use wasm_bindgen::JsValue;
use wasm_bindgen::closure::Closure;
use wasm_bindgen_futures::JsFuture;
use web_sys::{File, FormData, ProgressEvent, XmlHttpRequest};

/// How long before its end a sign-in counts as too old, in milliseconds: what begins in it should be let in.
const MARGIN: i64 = 60_000;

/// Why it was not taken.
pub struct Refusal {
    pub error: ApiError,
    /// What was wrong with the files, if it was that.
    pub fault: Option<RestoreFault>,
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Self { error, fault: None }
    }
}

impl Link {
    /// Sends files as a form, by someone who has just signed in: they are asked to show it before anything is sent.
    /// `fields` go before them: names and values. `progress` is told the part that has gone, from 0 to 1.
    pub async fn upload<T: DeserializeOwned>(
        self,
        path: &str,
        files: &[File],
        fields: &[(&str, &str)],
        progress: impl Fn(f64) + 'static,
    ) -> Result<T, Refusal> {
        let inner = self.inner();
        // With a token that is fresh by then.
        let security: Security = inner.api.call(Method::Get, "/api/v3/auth/security", None).await?;
        let soon = Timestamp::from_millis(js_sys::Date::now() as i64 + MARGIN);
        if security.recent_until.is_none_or(|until| until < soon) && !inner.confirm().await {
            return Err(ApiError::Refused(ErrorType::RecentSignInRequired).into());
        }
        let bearer = inner.api.bearer().ok_or(ApiError::Refused(ErrorType::Unauthenticated))?;
        let reply = send(path, &bearer, files, fields, progress)
            .await
            .map_err(|_| ApiError::Unreachable { retry_after_ms: None })?;
        api::read(&reply).map_err(|error| {
            let failure = serde_json::from_str::<Failure>(&reply.body).ok();
            let mut details = failure.into_iter().flat_map(|failure| failure.error.details);
            Refusal { error, fault: details.find_map(|detail| detail.code) }
        })
    }
}

async fn send(
    path: &str,
    bearer: &str,
    files: &[File],
    fields: &[(&str, &str)],
    progress: impl Fn(f64) + 'static,
) -> Result<Reply, JsValue> {
    let form = FormData::new()?;
    for (name, value) in fields {
        form.append_with_str(name, value)?;
    }
    for file in files {
        form.append_with_blob_and_filename("file", file, &file.name())?;
    }
    let request = XmlHttpRequest::new()?;
    request.open_with_async("POST", path, true)?;
    request.set_request_header("accept", "application/json")?;
    request.set_request_header("authorization", &format!("Bearer {bearer}"))?;
    let told = Closure::<dyn FnMut(ProgressEvent)>::new(move |event: ProgressEvent| {
        if event.length_computable() && event.total() > 0.0 {
            progress(event.loaded() / event.total());
        }
    });
    request.upload()?.set_onprogress(Some(told.as_ref().unchecked_ref()));
    // Whatever it ends with.
    let ended = Promise::new(&mut |resolve, _| request.set_onloadend(Some(&resolve)));
    request.send_with_opt_form_data(Some(&form))?;
    JsFuture::from(ended).await?;
    let status = request.status()?;
    if status == 0 {
        return Err(JsValue::NULL);
    }
    let retry_after = request.get_response_header("retry-after")?.and_then(|text| text.parse::<i64>().ok());
    Ok(Reply {
        status,
        body: request.response_text()?.unwrap_or_default(),
        retry_after_ms: retry_after.map(|seconds| seconds.saturating_mul(1_000)),
    })
}
