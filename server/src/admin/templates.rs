//! Templates: made, changed, deleted; and those that are there from the first start.

use super::Administration;
use crate::error::{Error, Result};
use crate::log::record::Record;
use hongyan_wire::TemplateId;
use hongyan_wire::error::ErrorType;
use hongyan_wire::limits::PRIORITY_DEFAULT;
use hongyan_wire::template::{Template, TemplateRequest};

/// The templates of the first start.
const BUILT_IN: &str = include_str!("templates.json");

impl Administration {
    /// One template as it is now.
    pub fn template(&self, id: &TemplateId) -> Result<Template> {
        let found = self.directory.template(id)?.ok_or_else(|| Error::not_found("template"))?;
        Ok((*found).clone())
    }

    /// Makes a template.
    pub async fn create_template(&self, actor: &str, request: TemplateRequest) -> Result<Template> {
        let _turn = self.turn().await?;
        let id = match request.id.clone() {
            Some(id) => id,
            None => TemplateId::new(&format!("tpl-{}", uuid::Uuid::now_v7())).map_err(Error::internal)?,
        };
        if self.directory.template(&id)?.is_some() {
            return Err(Error::exists("template", "id"));
        }
        self.put_template(actor, id, request, None).await
    }

    /// Changes a template: it has a new version, and what was sent keeps the one that it was sent with.
    pub async fn update_template(
        &self,
        actor: &str,
        id: &TemplateId,
        request: TemplateRequest,
    ) -> Result<Template> {
        let _turn = self.turn().await?;
        if request.id.as_ref().is_some_and(|given| given != id) {
            return Err(Error::field("id", "must be the one in the path, or left out"));
        }
        let before = self.template(id)?;
        if request.if_version.is_some_and(|version| version != before.version) {
            return Err(Error {
                current: serde_json::to_value(&before).ok(),
                ..Error::new(ErrorType::VersionConflict, "the template has changed meanwhile")
            });
        }
        self.put_template(actor, id.clone(), request, Some(before)).await
    }

    /// Deletes a template; its versions stay known for what was sent.
    pub async fn delete_template(&self, actor: &str, id: &TemplateId) -> Result<()> {
        let _turn = self.turn().await?;
        self.template(id)?;
        self.put(actor, id.clone(), Record::TemplateDeleted).await
    }

    async fn put_template(
        &self,
        actor: &str,
        id: TemplateId,
        request: TemplateRequest,
        before: Option<Template>,
    ) -> Result<Template> {
        let faults = request.faults();
        if !faults.is_empty() {
            return Err(Error::invalid(faults));
        }
        let now = crate::clock::now();
        let template = Template {
            version: self.directory.last_template_version(&id)? + 1,
            id,
            name: request.name,
            category: request.category,
            title: request.title,
            content: request.content,
            variables: request.variables,
            message_type: request.message_type.unwrap_or_else(|| "text".into()),
            priority: request.priority.unwrap_or(PRIORITY_DEFAULT),
            actions: request.actions,
            created_by: before.as_ref().map_or_else(|| actor.to_owned(), |before| before.created_by.clone()),
            created_at: before.as_ref().map_or(now, |before| before.created_at),
            updated_at: now,
        };
        self.put(actor, template.clone(), |change| Record::TemplatePut(Box::new(change))).await?;
        Ok(template)
    }

    /// Makes the templates of the first start, once.
    pub async fn make_built_in_templates(&self) -> Result<()> {
        if self.directory.has_known_templates()? {
            return Ok(());
        }
        let built_in: Vec<TemplateRequest> = serde_json::from_str(BUILT_IN).map_err(Error::internal)?;
        for request in built_in {
            self.create_template(super::SYSTEM, request).await?;
        }
        Ok(())
    }
}
