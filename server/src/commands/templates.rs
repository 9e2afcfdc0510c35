//! `hongyan-server template …`

use super::users::meant;
use super::{ACTOR, Outcome, Shown, every, id, print, word};
use anyhow::Context;
use clap::Subcommand;
use hongyan_server::app::Core;
use hongyan_wire::TemplateId;
use hongyan_wire::limits::MESSAGE_BYTES_MAX;
use hongyan_wire::template::TemplateRequest;
use std::io::Read;
use std::path::{Path, PathBuf};

#[derive(Subcommand)]
pub enum Templates {
    /// List templates: id, version, category, name.
    List {
        /// Only those with this text in id or name.
        #[arg(long)]
        search: Option<String>,
        #[command(flatten)]
        shown: Shown,
    },
    /// Print a template as JSON, which `put` takes again.
    Show { id: String },
    /// Make a template from JSON, or change the one with that id.
    Put {
        /// A file; standard input when it is `-`.
        file: PathBuf,
    },
    /// Delete a template.
    Delete {
        id: String,
        /// It cannot be taken back: say that it is meant.
        #[arg(long)]
        yes: bool,
    },
}

impl Templates {
    pub async fn perform(self, core: &Core) -> Outcome {
        let administration = &core.administration;
        let template = |text: &str| id::<TemplateId>(text, "template");
        match self {
            Self::List { search, shown } => every(
                search,
                |window| Ok(core.directory.templates(None, window)?),
                |template| {
                    let (version, category) = (template.version.to_string(), word(&template.category));
                    print(&shown, &template, &[template.id.as_str(), &version, &category, &template.name])
                },
            ),
            Self::Show { id } => {
                let template = administration.template(&template(&id)?)?;
                println!("{}", serde_json::to_string_pretty(&template)?);
                Ok(())
            }
            Self::Put { file } => {
                let request: TemplateRequest = request(&file)?;
                let known = match &request.id {
                    Some(id) => core.directory.template(id)?,
                    None => None,
                };
                let put = match known {
                    Some(known) => administration.update_template(ACTOR, &known.id, request).await?,
                    None => administration.create_template(ACTOR, request).await?,
                };
                println!("{}\t{}", put.id, put.version);
                Ok(())
            }
            Self::Delete { id, yes } => {
                let id = template(&id)?;
                administration.template(&id)?;
                meant(yes)?;
                Ok(administration.delete_template(ACTOR, &id).await?)
            }
        }
    }
}

/// What a file asks for. What `show` prints and nobody may set is passed over.
fn request(file: &Path) -> anyhow::Result<TemplateRequest> {
    let name = file.display();
    let most = MESSAGE_BYTES_MAX as u64;
    let mut text = String::new();
    match file.as_os_str() == "-" {
        true => std::io::stdin().lock().take(most).read_to_string(&mut text),
        false => std::fs::File::open(file).and_then(|open| open.take(most).read_to_string(&mut text)),
    }
    .with_context(|| format!("{name} cannot be read"))?;
    let mut value: serde_json::Value =
        serde_json::from_str(&text).with_context(|| format!("{name} is no JSON"))?;
    if let Some(fields) = value.as_object_mut() {
        for told in ["version", "created_at", "updated_at", "created_by", "updated_by"] {
            fields.remove(told);
        }
    }
    serde_path_to_error::deserialize(value).with_context(|| format!("{name} is no template"))
}
