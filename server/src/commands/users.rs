//! `hongyan-server user …`

use super::{ACTOR, Outcome, Shown, every, print, word};
use anyhow::{Context, bail};
use clap::Subcommand;
use hongyan_server::app::Core;
use hongyan_server::error::Error;
use hongyan_wire::admin::{UserRequest, UserStatus, UserUpdate};
use hongyan_wire::limits::PASSWORD_MAX;
use hongyan_wire::{DepartmentId, RoleId, UserId};
use std::io::{BufRead, Read};

#[derive(Subcommand)]
pub enum Users {
    /// List users: id, username, name, status, roles.
    List {
        /// Only those with this text in id, username, name or e-mail.
        #[arg(long)]
        search: Option<String>,
        #[command(flatten)]
        shown: Shown,
    },
    /// Add a user. A password is made and printed, this once, unless one is given or none is wanted.
    Add {
        username: String,
        /// The username when left out.
        #[arg(long)]
        name: Option<String>,
        /// Made when left out.
        #[arg(long)]
        id: Option<UserId>,
        #[arg(long)]
        email: Option<String>,
        /// May be given more than once; `admin` makes an administrator.
        #[arg(long = "role")]
        roles: Vec<RoleId>,
        #[arg(long)]
        department: Option<DepartmentId>,
        #[command(flatten)]
        password: NewPassword,
        /// No password: the user signs in by a provider, or not at all.
        #[arg(long, conflicts_with = "password_stdin")]
        no_password: bool,
        #[command(flatten)]
        shown: Shown,
    },
    /// Give a user another password; ends their sessions. One is made and printed, this once, unless one is given.
    Password {
        /// Id or username.
        user: String,
        #[command(flatten)]
        password: NewPassword,
    },
    /// Let a user not sign in any more.
    Disable {
        /// Id or username.
        user: String,
    },
    /// Let a user sign in again.
    Enable {
        /// Id or username.
        user: String,
    },
    /// Delete a user with their inbox and everything that is theirs.
    Delete {
        /// Id or username.
        user: String,
        /// It cannot be taken back: say that it is meant.
        #[arg(long)]
        yes: bool,
    },
}

#[derive(clap::Args)]
pub struct NewPassword {
    /// Read the password from standard input, one line.
    #[arg(long)]
    password_stdin: bool,
}

impl NewPassword {
    /// The password, and whether it was made here.
    fn get(&self) -> anyhow::Result<(String, bool)> {
        if !self.password_stdin {
            return Ok((hongyan_server::auth::secrets::random::<12>()?, true));
        }
        let mut line = String::new();
        let most = PASSWORD_MAX as u64 + 2;
        std::io::stdin().lock().take(most).read_line(&mut line).context("the password could not be read")?;
        let password = line.trim_end_matches(['\r', '\n']);
        if password.is_empty() {
            bail!("no password came on standard input");
        }
        Ok((password.to_owned(), false))
    }
}

impl Users {
    pub async fn perform(self, core: &Core) -> Outcome {
        let administration = &core.administration;
        match self {
            Self::List { search, shown } => every(
                search,
                |window| Ok(core.directory.users(window)?),
                |user| {
                    let roles: Vec<&str> = user.roles.iter().map(RoleId::as_str).collect();
                    let words =
                        [user.id.as_str(), &user.username, &user.name, &word(&user.status), &roles.join(",")];
                    print(&shown, &user, &words)
                },
            ),
            Self::Add { username, name, id, email, roles, department, password, no_password, shown } => {
                let password = if no_password { None } else { Some(password.get()?) };
                administration.make_admin_role().await?;
                let request = UserRequest {
                    id,
                    name: name.unwrap_or_else(|| username.clone()),
                    username,
                    email,
                    password: password.as_ref().map(|(password, _)| password.clone()),
                    roles: Some(roles),
                    department_id: department,
                };
                let user = administration.create_user(ACTOR, request).await?;
                let made = password.filter(|(_, made)| *made).map(|(password, _)| password);
                match made {
                    Some(password) if shown.json => {
                        let mut told = serde_json::to_value(&user)?;
                        told["password"] = password.into();
                        print(&shown, &told, &[])
                    }
                    made => print(&shown, &user, &[user.id.as_str(), made.as_deref().unwrap_or_default()]),
                }
            }
            Self::Password { user, password } => {
                let id = find(core, &user)?;
                let (password, made) = password.get()?;
                let update = UserUpdate { password: Some(password.clone()), ..UserUpdate::default() };
                administration.update_user(ACTOR, &id, update).await?;
                if made {
                    println!("{password}");
                }
                Ok(())
            }
            Self::Disable { user } => set_status(core, &user, UserStatus::Disabled).await,
            Self::Enable { user } => set_status(core, &user, UserStatus::Active).await,
            Self::Delete { user, yes } => {
                let id = find(core, &user)?;
                meant(yes)?;
                Ok(administration.delete_user(ACTOR, &id).await?)
            }
        }
    }
}

async fn set_status(core: &Core, user: &str, status: UserStatus) -> Outcome {
    let id = find(core, user)?;
    core.administration.set_user_status(ACTOR, &id, status).await?;
    Ok(())
}

/// The user with this id or username.
fn find(core: &Core, text: &str) -> anyhow::Result<UserId> {
    if let Ok(id) = UserId::new(text)
        && core.directory.person(&id)?.is_some()
    {
        return Ok(id);
    }
    let named = core.directory.user_named(text)?;
    Ok((*named.ok_or_else(|| Error::not_found("user"))?).clone())
}

/// What cannot be taken back takes `--yes`.
pub fn meant(yes: bool) -> Outcome {
    anyhow::ensure!(yes, "this cannot be taken back; give --yes if it is meant");
    Ok(())
}
