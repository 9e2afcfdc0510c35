//! `hongyan-server service …`

use super::users::meant;
use super::{ACTOR, Outcome, Shown, every, id, print, word};
use clap::{Subcommand, ValueEnum};
use hongyan_server::app::Core;
use hongyan_wire::ServiceId;
use hongyan_wire::admin::{RateLimit, RotateKeyRequest, ServiceRequest, ServiceStatus, ServiceType};
use hongyan_wire::permission::{Permission, Permissions};
use smol_str::SmolStr;

#[derive(Clone, Copy, ValueEnum)]
pub enum Tier {
    Internal,
    External,
    System,
}

#[derive(Subcommand)]
pub enum Services {
    /// List services: id, name, type, status, permissions.
    List {
        /// Only those with this text in id or name.
        #[arg(long)]
        search: Option<String>,
        #[command(flatten)]
        shown: Shown,
    },
    /// Add a service and print its id and its key, this once. An external one waits to be approved.
    Add {
        name: String,
        #[arg(long = "type", default_value = "internal")]
        tier: Tier,
        /// What it may do, as `send:user`; may be given more than once. What its type may when left out.
        #[arg(long = "permission")]
        permissions: Vec<Permission>,
        /// Messages in each minute.
        #[arg(long)]
        rate_limit: Option<u32>,
        /// Who gets what it sends through a door and names nobody; may be given more than once.
        #[arg(long = "default-recipient")]
        default_recipients: Vec<SmolStr>,
        /// Where it is told of presses.
        #[arg(long)]
        callback_url: Option<String>,
        #[command(flatten)]
        shown: Shown,
    },
    /// Give a service another key and print it, this once.
    RotateKey {
        id: String,
        /// For how long the keys there are stay good, in seconds; a day when left out.
        #[arg(long)]
        overlap: Option<u32>,
    },
    /// Let an external service send.
    Approve { id: String },
    /// Let a service not send any more.
    Suspend { id: String },
    /// Let a suspended service send again.
    Resume { id: String },
    /// Delete a service.
    Delete {
        id: String,
        /// It cannot be taken back: say that it is meant.
        #[arg(long)]
        yes: bool,
    },
}

impl Services {
    pub async fn perform(self, core: &Core) -> Outcome {
        let administration = &core.administration;
        let service = |text: &str| id::<ServiceId>(text, "service");
        match self {
            Self::List { search, shown } => every(
                search,
                |window| Ok(core.directory.service_list(window)?),
                |service| {
                    let permissions: Vec<String> =
                        service.permissions.0.iter().map(ToString::to_string).collect();
                    let words = [
                        service.id.as_str(),
                        &service.name,
                        &word(&service.service_type),
                        &word(&service.status),
                        &permissions.join(","),
                    ];
                    print(&shown, &service, &words)
                },
            ),
            Self::Add { name, tier, permissions, rate_limit, default_recipients, callback_url, shown } => {
                let request = ServiceRequest {
                    name,
                    service_type: match tier {
                        Tier::Internal => ServiceType::Internal,
                        Tier::External => ServiceType::External,
                        Tier::System => ServiceType::System,
                    },
                    permissions: (!permissions.is_empty()).then_some(Permissions(permissions)),
                    rate_limit: rate_limit.map(|per_minute| RateLimit { per_minute }),
                    owner: None,
                    callback_url,
                    default_recipients,
                };
                let made = administration.create_service(ACTOR, request).await?;
                print(&shown, &made, &[made.service.id.as_str(), &made.api_key])
            }
            Self::RotateKey { id, overlap } => {
                let request = RotateKeyRequest { overlap_seconds: overlap };
                let made = administration.rotate_key(ACTOR, &service(&id)?, request).await?;
                println!("{}", made.api_key);
                Ok(())
            }
            Self::Approve { id } => {
                administration.approve_service(ACTOR, &service(&id)?).await?;
                Ok(())
            }
            Self::Suspend { id } => {
                administration.set_service_status(ACTOR, &service(&id)?, ServiceStatus::Suspended).await?;
                Ok(())
            }
            Self::Resume { id } => {
                administration.set_service_status(ACTOR, &service(&id)?, ServiceStatus::Active).await?;
                Ok(())
            }
            Self::Delete { id, yes } => {
                let id = service(&id)?;
                administration.service(&id)?;
                meant(yes)?;
                Ok(administration.delete_service(ACTOR, &id).await?)
            }
        }
    }
}
