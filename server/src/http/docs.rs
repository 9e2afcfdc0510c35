//! The OpenAPI document, made from the handlers, and a page to read it, with no outside assets.

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::middleware::map_response;
use axum::response::Response;
use axum::routing::get;
use hongyan_wire::error::Failure;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{InfoBuilder, OpenApi, OpenApiBuilder};
use utoipa_swagger_ui::{Config, SwaggerUi};

/// The user gateway's document, without its paths.
pub fn user_document() -> OpenApi {
    let mut document = document(
        "Hongyan user gateway",
        "Send messages, read them, stay in sync. Every answer has the envelope `{code, message, data, meta}`; \
         every failure `{code, message, error: {type, details}, meta: {request_id}}`. Only the doors, which are for \
         programs of other systems, answer as those systems do.",
    );
    add_scheme(&mut document, "service", service_scheme());
    document
}

/// The admin gateway's document, without its paths.
pub fn admin_document() -> OpenApi {
    document(
        "Hongyan admin gateway",
        "Users, departments, roles, channels, services, what was sent, and who changed what.",
    )
}

fn document(title: &str, description: &str) -> OpenApi {
    let info = InfoBuilder::new()
        .title(title)
        .description(Some(description))
        .version(env!("CARGO_PKG_VERSION"))
        .build();
    let mut document = OpenApiBuilder::new().info(info).build();
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
    add_scheme(&mut document, "bearer", SecurityScheme::Http(bearer));
    let components = document.components.get_or_insert_default();
    let mut schemas = Vec::new();
    <Failure as utoipa::ToSchema>::schemas(&mut schemas);
    components.schemas.extend(schemas);
    components.schemas.insert("Failure".into(), <Failure as utoipa::PartialSchema>::schema());
    document
}

fn service_scheme() -> SecurityScheme {
    let description = "`Service <api_key>`: the key of a service";
    SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description("Authorization", description)))
}

fn add_scheme(document: &mut OpenApi, name: &str, scheme: SecurityScheme) {
    document.components.get_or_insert_default().add_security_scheme(name, scheme);
}

/// `/api/v3/openapi.json` and `/docs`.
pub fn routes(document: OpenApi) -> Router {
    let json = serde_json::to_string(&document).unwrap_or_default();
    let serve = move || {
        let json = json.clone();
        async move { ([(header::CONTENT_TYPE, "application/json")], json) }
    };
    let page = SwaggerUi::new("/docs").config(Config::from("/api/v3/openapi.json").try_it_out_enabled(true));
    // The page's styles are in it.
    let policy = |mut response: Response| async {
        let policy = HeaderValue::from_static(
            "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
             connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
        );
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
        response
    };
    let page = Router::new().merge(page).layer(map_response(policy));
    Router::new().route("/api/v3/openapi.json", get(serve)).merge(page)
}
