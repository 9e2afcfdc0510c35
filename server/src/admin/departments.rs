//! Departments: the tree.

use super::{Administration, check_name};
use crate::directory::DEPARTMENT_DEPTH_MAX;
use crate::error::{Error, Result};
use crate::log::record::{GroupKey, GroupPut, Record};
use hongyan_wire::DepartmentId;
use hongyan_wire::admin::{Department, DepartmentRequest, DepartmentUpdate};
use hongyan_wire::error::FieldError;

/// Departments in all.
const DEPARTMENTS_MAX: u64 = 10_000;

impl Administration {
    /// One department.
    pub fn department(&self, key: &GroupKey) -> Result<Department> {
        let group = self.directory.group(key)?;
        group.and_then(|group| group.to_department()).ok_or_else(|| Error::not_found("department"))
    }

    /// Makes a department.
    pub async fn create_department(&self, actor: &str, request: DepartmentRequest) -> Result<Department> {
        let id = match request.id {
            Some(id) => id,
            None => DepartmentId::new(&format!("dep-{}", uuid::Uuid::now_v7())).map_err(Error::internal)?,
        };
        let key = GroupKey::department(&id);
        let mut faults = Vec::new();
        check_name("name", &request.name, &mut faults);
        if !faults.is_empty() {
            return Err(Error::invalid(faults));
        }
        let _turn = self.turn().await?;
        if self.directory.group(&key)?.is_some() {
            return Err(Error::exists("department", "id"));
        }
        self.check_room("id")?;
        self.check_place(&key, request.parent_id.as_ref())?;
        self.put_department(actor, &key, request.name, request.parent_id).await
    }

    /// Changes what is given of a department.
    pub async fn update_department(
        &self,
        actor: &str,
        key: &GroupKey,
        update: DepartmentUpdate,
    ) -> Result<Department> {
        let mut faults = Vec::new();
        if let Some(name) = &update.name {
            check_name("name", name, &mut faults);
        }
        if !faults.is_empty() {
            return Err(Error::invalid(faults));
        }
        let _turn = self.turn().await?;
        let before = self.department(key)?;
        let parent = match update.parent_id {
            Some(parent) => {
                self.check_place(key, parent.as_ref())?;
                parent
            }
            None => before.parent_id,
        };
        self.put_department(actor, key, update.name.unwrap_or(before.name), parent).await
    }

    /// Whether one more department may be made.
    pub(super) fn check_room(&self, field: &str) -> Result<()> {
        if self.directory.department_count()? >= DEPARTMENTS_MAX {
            return Err(Error::field(field, "there are 10000 departments already"));
        }
        Ok(())
    }

    async fn put_department(
        &self,
        actor: &str,
        key: &GroupKey,
        name: String,
        parent: Option<DepartmentId>,
    ) -> Result<Department> {
        let put = GroupPut {
            key: key.clone(),
            name,
            description: String::new(),
            channel_kind: Default::default(),
            members: Vec::new(),
            parent: parent.map(|parent| parent.as_str().into()),
        };
        self.put(actor, put, |change| Record::GroupPut(Box::new(change))).await?;
        self.department(key)
    }

    /// Whether a department can hang under another: that is there, is not beneath it, and leaves room for the levels.
    fn check_place(&self, key: &GroupKey, parent: Option<&DepartmentId>) -> Result<()> {
        let Some(parent) = parent else { return Ok(()) };
        let above = self.directory.department_chain(parent.as_str())?;
        let reason = if above.is_empty() {
            "there is no such department"
        } else if above.contains(key) {
            "is the department itself, or one under it"
        } else if above.len() + self.directory.department_height(&key.id)? > DEPARTMENT_DEPTH_MAX {
            "is too deep: the tree has at most 10 levels"
        } else {
            return Ok(());
        };
        Err(Error::invalid(vec![FieldError::new("parent_id", reason)]))
    }
}
