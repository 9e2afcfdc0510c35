//! What the providers remember, and that they end.

use super::{STATE, Visit, text};
use crate::providers::call::value_of;
use crate::providers::{Fault, Providers};

#[tokio::test]
async fn calls_and_secrets_are_kept() {
    let test = Visit::start().await;
    let token = test.google().await;
    let secrets = test.providers.secrets();
    for name in ["access_token", "id_token"] {
        assert!(secrets.contains(&text(&token, name)));
    }
    let sent = test.providers.calls_of("goog.token").remove(0);
    let code = value_of(&sent.form(), "code").unwrap().to_owned();
    assert!(secrets.contains(&code) && secrets.contains(&code.replace('/', "%2F")));
    assert!(secrets.contains(&test.setting("WECHAT_CLIENT_SECRET")));
    let asked = test.providers.calls_of("goog.authorize").remove(0);
    assert_eq!((asked.asked("state"), asked.method.as_str()), (Some(STATE), "GET"));
    test.providers.forget_calls();
    assert!(test.providers.calls().is_empty());
}

#[tokio::test]
async fn providers_end_when_they_are_dropped() {
    let test = Visit::start().await;
    let request = test.get("goog/certs", &[]).build().unwrap();
    let Visit { client, providers } = test;
    assert!(client.execute(request.try_clone().unwrap()).await.is_ok());
    drop(providers);
    let refused = async || client.execute(request.try_clone().unwrap()).await.is_err().then_some(());
    crate::wait::eventually("the end of the providers", refused).await;
}

#[tokio::test]
#[should_panic(expected = "cannot happen at")]
async fn a_fault_that_a_step_does_not_have_is_refused() {
    Providers::start().await.fail("goog.certs", Fault::Deny);
}
