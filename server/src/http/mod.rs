//! Both gateways. Every route of :8080 stands in [`UserGateway::router`], every route of :8081 in
//! [`AdminGateway::router`]; one file a resource.

mod actions;
mod admin;
mod assets;
mod auth;
mod backup;
mod channels;
mod connection;
mod cookies;
mod docs;
mod doors;
mod envelope;
mod extract;
mod health;
mod messages;
mod origin;
mod page;
mod ranges;
mod receipts;
mod send;
pub mod serve;
mod socket;
mod sync;
mod templates;

pub use cookies::Cookies;
pub use envelope::Answer;
pub use origin::Origins;
pub use page::PageQuery;

use crate::account::Accounts;
use crate::admin::Administration;
use crate::auth::jwt::Claims;
use crate::auth::providers::Provider;
use crate::auth::{Auth, Logins, Native};
use crate::backup::sets::Sets;
use crate::backup::{Backups, Jobs};
use crate::directory::Directory;
use crate::error::{Error, Result};
use crate::hub::{Hub, Limits};
use crate::inbox::Inboxes;
use crate::log::Journal;
use crate::report::Reports;
use crate::send::{Gate, Meters};
use crate::socket::Sockets;
use axum::Router;
use axum::http::{HeaderValue, header};
use axum::middleware::map_response;
use axum::response::{Redirect, Response};
use axum::routing::get;
use extract::BodyRules;
use std::ops::Deref;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Largest JSON body of a request to the admin gateway, in bytes. An import is not held to it: it is read line
/// by line.
const ADMIN_BODY_MAX: usize = 2 * 1024 * 1024;

/// The user gateway, as its handlers are given it: cloned for each request, so one count and no more.
#[derive(Clone)]
pub struct UserGateway(Arc<UserParts>);

/// What the user gateway's handlers use.
pub struct UserParts {
    pub auth: Arc<Auth>,
    pub accounts: Arc<Accounts>,
    pub gate: Arc<Gate>,
    pub meters: Arc<Meters>,
    pub administration: Arc<Administration>,
    pub inboxes: Arc<Inboxes>,
    pub directory: Arc<Directory>,
    pub hub: Arc<Hub>,
    pub reports: Arc<Reports>,
    pub backups: Arc<Backups>,
    pub jobs: Arc<Jobs>,
    pub journal: Journal,
    pub sockets: Arc<Sockets>,
    pub limits: Arc<Limits>,
    pub origins: Origins,
    pub cookies: Cookies,
    /// In the order in which they are shown.
    pub providers: Vec<Arc<dyn Provider>>,
    pub logins: Logins,
    pub native: Arc<Native>,
    /// Where people reach this gateway.
    pub public_url: String,
    /// Largest body of a request, in bytes.
    pub body_max: usize,
    /// Largest message as JSON, in bytes.
    pub message_bytes: usize,
}

impl Deref for UserGateway {
    type Target = UserParts;

    fn deref(&self) -> &UserParts {
        &self.0
    }
}

impl UserGateway {
    pub fn new(parts: UserParts) -> Self {
        Self(Arc::new(parts))
    }

    /// Every route of :8080.
    pub fn router(self) -> Router {
        let (router, document) = OpenApiRouter::with_openapi(docs::user_document())
            .routes(routes!(send::send))
            .routes(routes!(send::send_batch))
            .routes(routes!(send::send_template))
            .routes(routes!(send::preview))
            .routes(routes!(send::recall))
            .routes(routes!(receipts::receipts))
            .routes(routes!(receipts::recipients))
            .routes(routes!(send::scheduled))
            .routes(routes!(send::scheduled_one, send::reschedule, send::unschedule))
            .routes(routes!(templates::list, templates::create))
            .routes(routes!(templates::get, templates::update, templates::delete))
            .routes(routes!(messages::list))
            .routes(routes!(messages::unread_count))
            .routes(routes!(messages::read_batch))
            .routes(routes!(messages::get))
            .routes(routes!(messages::read))
            .routes(routes!(actions::press))
            .routes(routes!(doors::gotify::message))
            .routes(routes!(doors::ntfy::publish_json))
            .routes(routes!(doors::ntfy::publish_json_at_root))
            .routes(routes!(doors::ntfy::publish))
            .routes(routes!(doors::ntfy::publish_further))
            .routes(routes!(doors::alerts::alertmanager))
            .routes(routes!(doors::alerts::grafana))
            .routes(routes!(doors::slack::services))
            .routes(routes!(doors::robots::dingtalk))
            .routes(routes!(doors::robots::wecom))
            .routes(routes!(doors::json::json))
            .routes(routes!(channels::list))
            .routes(routes!(channels::public))
            .routes(routes!(channels::join))
            .routes(routes!(channels::leave))
            .routes(routes!(channels::messages))
            .routes(routes!(channels::members))
            .routes(routes!(channels::add_member, channels::remove_member))
            .routes(routes!(sync::sync))
            .routes(routes!(backup::database))
            .routes(routes!(backup::messages))
            .routes(routes!(backup::export::export))
            .routes(routes!(backup::jobs::list, backup::jobs::create))
            .routes(routes!(backup::jobs::get, backup::jobs::delete))
            .routes(routes!(backup::list))
            .routes(routes!(backup::delete))
            .routes(routes!(backup::restore::restore))
            .routes(routes!(backup::link))
            .routes(routes!(backup::file))
            .routes(routes!(auth::providers::list))
            .routes(routes!(auth::sessions::login, auth::providers::login_here))
            .routes(routes!(auth::providers::login))
            .routes(routes!(auth::providers::callback))
            .routes(routes!(auth::native::see, auth::native::decide))
            .routes(routes!(auth::native::token))
            .routes(routes!(auth::sessions::refresh))
            .routes(routes!(auth::sessions::logout))
            .routes(routes!(auth::sessions::sessions, auth::sessions::end_others))
            .routes(routes!(auth::sessions::end_session))
            .routes(routes!(auth::sessions::ticket))
            .routes(routes!(auth::profile::get, auth::profile::update))
            .routes(routes!(auth::profile::set_avatar, auth::profile::clear_avatar))
            .routes(routes!(auth::profile::avatar))
            .routes(routes!(auth::security::see))
            .routes(routes!(auth::security::confirm))
            .routes(routes!(auth::security::change_password))
            .routes(routes!(auth::security::offer_totp, auth::security::take_totp, auth::security::drop_totp))
            .routes(routes!(auth::security::link_identity))
            .routes(routes!(auth::security::unlink_identity))
            .routes(routes!(auth::passkeys::offer))
            .routes(routes!(auth::passkeys::add))
            .routes(routes!(auth::passkeys::delete))
            .routes(routes!(auth::passkeys::ask))
            .routes(routes!(auth::passkeys::login))
            .routes(routes!(auth::link::see))
            .routes(routes!(auth::link::set_password))
            .routes(routes!(auth::link::link_identity))
            .routes(routes!(auth::tokens::list, auth::tokens::create))
            .routes(routes!(auth::tokens::end))
            .routes(routes!(socket::open))
            .routes(routes!(health::healthz))
            .routes(routes!(health::readyz))
            .routes(routes!(health::gotify_version))
            .routes(routes!(health::gotify_health))
            .routes(routes!(health::ntfy_health))
            .routes(routes!(health::ntfy_health_at_root))
            .split_for_parts();
        let cors = self.origins.cors();
        let is_over_tls = self.public_url.starts_with("https://");
        // Beside what ntfy's clients post there.
        let router = router.route("/", get(assets::serve));
        let router = router.with_state(self).fallback(assets::serve).merge(docs::routes(document));
        let router = match cors {
            Some(cors) => router.layer(cors),
            None => router,
        };
        if is_over_tls { router.layer(map_response(stay_on_tls)) } else { router }
    }
}

/// Browsers that were here once come by TLS from then on (RFC 6797, section 6.1).
async fn stay_on_tls(mut response: Response) -> Response {
    let year = HeaderValue::from_static("max-age=31536000");
    response.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, year);
    response
}

/// What the admin gateway's handlers use.
#[derive(Clone)]
pub struct AdminGateway {
    pub auth: Arc<Auth>,
    pub administration: Arc<Administration>,
    pub sets: Arc<Sets>,
    pub gate: Arc<Gate>,
    pub directory: Arc<Directory>,
    pub reports: Arc<Reports>,
    pub journal: Journal,
    pub accounts: Arc<Accounts>,
    pub origins: Origins,
    pub native: Arc<Native>,
    pub providers: Vec<Arc<dyn Provider>>,
    /// Where people reach the user gateway.
    pub public_url: String,
}

impl AdminGateway {
    /// Every route of :8081.
    pub fn router(self) -> Router {
        let (router, document) = OpenApiRouter::with_openapi(docs::admin_document())
            .routes(routes!(admin::auth::login))
            .routes(routes!(admin::auth::logout))
            .routes(routes!(auth::native::admin_token))
            .routes(routes!(admin::users::list, admin::users::create))
            .routes(routes!(admin::users::get, admin::users::update, admin::users::delete))
            .routes(routes!(admin::users::disable))
            .routes(routes!(admin::users::enable))
            .routes(routes!(admin::credentials::make_link))
            .routes(routes!(admin::credentials::reset_second_factors))
            .routes(routes!(admin::credentials::identities, admin::credentials::add_identity))
            .routes(routes!(admin::credentials::remove_identity))
            .routes(routes!(admin::import::import))
            .routes(routes!(admin::roles::list, admin::roles::create))
            .routes(routes!(admin::roles::get, admin::roles::update, admin::roles::delete))
            .routes(routes!(admin::roles::members))
            .routes(routes!(admin::roles::add_member, admin::roles::remove_member))
            .routes(routes!(admin::channels::list, admin::channels::create))
            .routes(routes!(admin::channels::get, admin::channels::update, admin::channels::delete))
            .routes(routes!(admin::channels::members))
            .routes(routes!(admin::channels::add_member, admin::channels::remove_member))
            .routes(routes!(admin::channels::add_owner, admin::channels::remove_owner))
            .routes(routes!(admin::departments::list, admin::departments::create))
            .routes(routes!(admin::departments::get, admin::departments::update, admin::departments::delete))
            .routes(routes!(admin::departments::members))
            .routes(routes!(admin::departments::add_member, admin::departments::remove_member))
            .routes(routes!(admin::departments::add_admin, admin::departments::remove_admin))
            .routes(routes!(admin::services::list, admin::services::create))
            .routes(routes!(admin::services::get, admin::services::update, admin::services::delete))
            .routes(routes!(admin::services::approve))
            .routes(routes!(admin::services::rotate_key))
            .routes(routes!(admin::services::rotate_callback_secret))
            .routes(routes!(admin::services::suspend))
            .routes(routes!(admin::services::resume))
            .routes(routes!(admin::templates::list, admin::templates::create))
            .routes(routes!(admin::templates::get, admin::templates::update, admin::templates::delete))
            .routes(routes!(admin::templates::versions))
            .routes(routes!(admin::sessions::list, admin::sessions::end_all))
            .routes(routes!(admin::sessions::end))
            .routes(routes!(admin::sessions::end_all_of))
            .routes(routes!(admin::announcements::list, admin::announcements::create))
            .routes(routes!(admin::announcements::delete))
            .routes(routes!(admin::callbacks::list))
            .routes(routes!(admin::callbacks::replay))
            .routes(routes!(admin::deliveries::list))
            .routes(routes!(admin::deliveries::get))
            .routes(routes!(admin::deliveries::recipients))
            .routes(routes!(admin::deliveries::stats))
            .routes(routes!(admin::backups::list, admin::backups::create))
            .routes(routes!(admin::backups::get, admin::backups::delete))
            .routes(routes!(admin::backups::verify))
            .routes(routes!(admin::audit::list))
            .routes(routes!(health::healthz))
            .routes(routes!(admin::health::readyz))
            .split_for_parts();
        // Who opens the address that the server prints finds what can be done here.
        // The address is relative, as a proxy may serve this below a path.
        let home = get(|| async { Redirect::temporary("docs/") });
        let nothing = || async { Error::not_found("path") };
        let router = router.route("/", home);
        router.with_state(self).fallback(nothing).merge(docs::routes(document))
    }
}

impl BodyRules for UserGateway {
    fn body_max(&self) -> usize {
        self.body_max
    }

    fn still(&self, claims: Arc<Claims>) -> Result<()> {
        self.auth.bearer(claims).map(drop)
    }
}

impl BodyRules for AdminGateway {
    fn body_max(&self) -> usize {
        ADMIN_BODY_MAX
    }

    fn still(&self, claims: Arc<Claims>) -> Result<()> {
        let caller = self.auth.bearer(claims)?;
        if caller.is_admin() { Ok(()) } else { Err(Error::forbidden("admin")) }
    }
}
