//! What is served to be read: OpenAPI, the page about it, the web UI.

use hongyan_harness::{Api, Reply, Setup};
use reqwest::Method;
use serde_json::Value;

#[tokio::test]
async fn every_documented_path_is_there_and_every_reference_leads_somewhere() {
    let server = Setup::default().start().await;
    for (gateway, least) in [(server.user(), 16), (server.admin_gateway(), 16)] {
        let document: Value = gateway.get("/api/v3/openapi.json").await.json();
        let paths = document["paths"].as_object().unwrap();
        assert!(paths.len() >= least, "{} paths", paths.len());
        for (path, operations) in paths {
            for (method, operation) in operations.as_object().unwrap() {
                let method: Method = method.to_uppercase().parse().unwrap();
                let reply = Reply::of(gateway.request(method.clone(), &path.replace(['{', '}'], ""))).await;
                // Without credentials each says so, or that something is missing: never that it is not there.
                assert!(![405, 500].contains(&reply.status), "{method} {path}: {}", reply.status);
                assert!(!reply.text.contains("there is no such path"), "{method} {path}");
                assert!(!operation["responses"].as_object().unwrap().is_empty());
                assert!(operation["summary"].is_string(), "{method} {path} has no summary");
            }
        }
        references(&document, &document);
    }
}

fn references(document: &Value, part: &Value) {
    match part {
        Value::Object(fields) => {
            if let Some(reference) = fields.get("$ref").and_then(Value::as_str) {
                assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
            }
            fields.values().for_each(|field| references(document, field));
        }
        Value::Array(items) => items.iter().for_each(|item| references(document, item)),
        _ => {}
    }
}

#[tokio::test]
async fn the_page_about_the_api_needs_nothing_from_outside() {
    let server = Setup::default().start().await;
    for gateway in [server.user(), server.admin_gateway()] {
        let page = gateway.get("/docs/").await;
        assert_eq!(page.status, 200);
        let assets = linked(&page.text);
        assert!(assets.len() >= 3, "{assets:?}");
        for asset in assets {
            assert!(!asset.contains("//"), "{asset} is elsewhere");
            assert_eq!(
                gateway.get(&format!("/docs/{}", asset.trim_start_matches("./"))).await.status,
                200,
                "{asset}"
            );
        }
    }
}

fn linked(html: &str) -> Vec<String> {
    let values = html.split(['"', '\'']).skip(1).step_by(2);
    values.filter(|value| value.ends_with(".js") || value.ends_with(".css")).map(str::to_owned).collect()
}

#[tokio::test]
async fn the_web_ui_is_served_compressed_cached_and_fenced_in() {
    let server = Setup::default().start().await;
    let user = server.user();
    let page = user.get("/").await;
    assert_eq!(page.status, 200, "the UI is embedded by `cargo xtask test`");
    assert_eq!(page.header("cache-control"), Some("no-cache"));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("script-src 'self' 'wasm-unsafe-eval';") && !policy.contains("unsafe-inline"));
    assert!(!page.text.contains("<script>") && !page.text.contains("style=\""));
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    let etag = page.header("etag").unwrap();
    let again = Reply::of(user.request(Method::GET, "/").header("if-none-match", etag)).await;
    assert_eq!((again.status, again.text.as_str()), (304, ""));
    // The page's own places are behind `#`, so no other path is answered with the page.
    for path in ["/some/place", "/missing.js"] {
        user.get(path).await.failure(404, "not_found");
    }
    for asset in linked(&page.text) {
        let path = format!("/{}", asset.trim_start_matches(['.', '/']));
        let (plain, brotli) = (coded(&user, &path, "identity").await, coded(&user, &path, "br, gzip").await);
        assert_eq!(plain.0, None);
        assert!(plain.1.contains("immutable"), "{path}");
        assert!(brotli.0.as_deref() == Some("br") || plain.2 < 1_000, "{path}");
        assert!(brotli.2 <= plain.2, "{path}");
    }
}

/// The coding of an answer, its caching, and its length.
async fn coded(user: &Api, path: &str, accept: &str) -> (Option<String>, String, u64) {
    let response = user.request(Method::GET, path).header("accept-encoding", accept).send().await.unwrap();
    assert_eq!(response.status(), 200, "{path}");
    let text = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let length = text("content-length").map_or(0, |length| length.parse().unwrap());
    (text("content-encoding"), text("cache-control").unwrap(), length)
}
