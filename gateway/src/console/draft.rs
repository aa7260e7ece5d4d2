//! Documents in the draft, as forms edit them: read with what they were, written only if nobody changed them since.

use axum::http::Method;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{
    Refused,
    ask::Desk,
    form::{Faults, Finding},
    words::encoded,
};

/// One object of the draft.
#[derive(Clone, Debug)]
pub(super) struct Edited {
    pub(super) body: Value,
    /// Names what the object was, for [`Desk::put_draft`].
    pub(super) was: String,
}

impl Desk {
    /// One object of the draft; none when there is none of this name.
    ///
    /// # Errors
    /// What the API says.
    pub(super) async fn draft_object(&self, section: &str, id: &str) -> Result<Option<Edited>, Refused> {
        match self.get::<Value>(&path(section, id)).await {
            Ok(body) => Ok(Some(Edited { was: print_of(&body), body })),
            Err(refused) if refused.status == 404 => Ok(None),
            Err(refused) => Err(refused),
        }
    }

    /// Writes an object into the draft, if it is still what the form was filled from; an empty `was` makes a new one.
    ///
    /// # Errors
    /// 409 when somebody changed it meanwhile, 422 with findings when it has faults, or what else the API says.
    pub(super) async fn put_draft(
        &self,
        section: &str,
        id: &str,
        body: &Value,
        was: &str,
    ) -> Result<(), Refused> {
        self.change(section, id, Some(body), was).await
    }

    /// Removes an object from the draft, if it is still what was shown.
    ///
    /// # Errors
    /// As [`Desk::put_draft`].
    pub(super) async fn remove_draft(&self, section: &str, id: &str, was: &str) -> Result<(), Refused> {
        self.change(section, id, None, was).await
    }

    /// What publishing would say about one object of the draft.
    ///
    /// # Errors
    /// What the API says.
    pub(super) async fn findings(&self, section: &str, id: &str, fields: &[&str]) -> Result<Faults, Refused> {
        let said = self.send(Method::POST, "/api/v1/routing/validate", None).await?;
        let findings = said.get("diagnostics").cloned().unwrap_or_default();
        let findings: Vec<Finding> = serde_json::from_value(findings).unwrap_or_default();
        let errors = findings.into_iter().filter(Finding::is_error).collect();
        Ok(Faults::of_draft(errors, section, id, fields))
    }

    async fn change(&self, section: &str, id: &str, body: Option<&Value>, was: &str) -> Result<(), Refused> {
        let path = path(section, id);
        // The version that is compared is the version that is written: an edit in between is refused by the API.
        let tag = match self.get_versioned::<Value>(&path).await {
            Ok(found) if print_of(&found.body) == was => found.tag,
            Ok(_) if was.is_empty() => return Err(exists(id)),
            Ok(_) => return Err(changed()),
            Err(refused) if refused.status == 404 && was.is_empty() => String::new(),
            Err(refused) => return Err(refused),
        };
        let method = if body.is_some() { Method::PUT } else { Method::DELETE };
        self.send_if(method, &path, body, &tag).await.map(drop).map_err(|refused| match refused.status {
            412 => changed(),
            _ => refused,
        })
    }
}

fn path(section: &str, id: &str) -> String {
    format!("/api/v1/routing/draft/{section}/{}", encoded(id))
}

fn print_of(body: &Value) -> String {
    Sha256::digest(body.to_string()).iter().take(12).map(|byte| format!("{byte:02x}")).collect()
}

fn changed() -> Refused {
    let detail = "Somebody else changed this while you were at it, or changed the draft at the same moment.";
    Refused::new(
        409,
        "changed_meanwhile",
        detail,
        "Open the page again, and apply your change to what is there now.",
    )
}

fn exists(id: &str) -> Refused {
    Refused::new(
        409,
        "exists_already",
        format!("There is one with the id {id} already."),
        "Choose another name.",
    )
}
