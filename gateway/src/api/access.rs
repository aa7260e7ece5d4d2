//! What each route asks for: read from the description, where every route declares it.
//!
//! A route says `security(("key" = ["contacts.read"]))` in its own `#[utoipa::path]`; an empty list lets everybody in who
//! is known. One that says nothing is refused to everybody.

use std::{collections::HashMap, sync::LazyLock};

use axum::http::Method;
use serde_json::Value;

use crate::identity::permission::Permission;

/// What a route asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Needs {
    /// A caller who is known.
    Known,
    /// A permission.
    One(Permission),
}

/// What stands in the table for a method and a path template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It is declared.
    Needs(Needs),
    /// The path is declared, but for other methods.
    OtherMethods,
    /// Nothing is declared.
    Nothing,
}

/// What every route asks for.
#[derive(Debug, Default)]
pub(super) struct Access {
    routes: HashMap<String, Vec<(String, Option<Needs>)>>,
}

/// The table of this program.
pub(super) static ACCESS: LazyLock<Access> = LazyLock::new(|| {
    let (_, description) = super::described().split_for_parts();
    Access::read(&serde_json::to_value(&description).unwrap_or_default())
});

impl Access {
    /// Reads the table from a description. A route whose declaration is missing or unknown is in it as refused.
    pub(super) fn read(description: &Value) -> Self {
        let mut routes = HashMap::new();
        let paths = description["paths"].as_object();
        for (path, operations) in paths.into_iter().flatten() {
            let operations = operations.as_object().into_iter().flatten();
            let operations = operations.map(|(method, operation)| (method.clone(), needs(operation)));
            routes.insert(path.clone(), operations.collect());
        }
        Self { routes }
    }

    /// What a route asks for.
    pub(super) fn of(&self, method: &Method, template: &str) -> Found {
        let Some(methods) = self.routes.get(template) else { return Found::Nothing };
        // Who may read something may ask how long it is.
        let wanted = if method == Method::HEAD { "GET" } else { method.as_str() };
        match methods.iter().find(|(method, _)| method.eq_ignore_ascii_case(wanted)) {
            Some((_, Some(needs))) => Found::Needs(*needs),
            Some((_, None)) => Found::Nothing,
            None => Found::OtherMethods,
        }
    }
}

fn needs(operation: &Value) -> Option<Needs> {
    let scopes =
        operation["security"].as_array()?.iter().find_map(|requirement| requirement["key"].as_array())?;
    match scopes.as_slice() {
        [] => Some(Needs::Known),
        [one] => one.as_str().and_then(Permission::parse).map(Needs::One),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What everybody may who is known.
    const KNOWN: [&str; 7] = [
        "delete /api/v1/me/sessions/{id}",
        "delete /api/v1/sessions/current",
        "get /api/v1/me",
        "get /api/v1/me/sessions",
        "get /api/v1/permissions",
        "get /api/v1/roles",
        "post /api/v1/me/password",
    ];

    #[test]
    fn every_route_declares_one_permission_that_exists_or_is_on_the_list() {
        let mut known = Vec::new();
        for (path, methods) in &ACCESS.routes {
            for (method, needs) in methods {
                match needs {
                    Some(Needs::One(_)) => {}
                    Some(Needs::Known) => known.push(format!("{method} {path}")),
                    None => panic!("{method} {path} does not declare one permission that exists"),
                }
            }
        }
        known.sort_unstable();
        assert_eq!(known, KNOWN, "a route asks for no permission: put it on the list, if that is meant");
    }

    #[test]
    fn a_route_that_declares_nothing_or_something_unknown_is_refused() {
        let access = Access::read(&serde_json::json!({"paths": {"/a": {
            "get": {}, "put": {"security": [{"key": ["everything"]}]}, "post": {"security": [{}]},
            "patch": {"security": [{"key": ["audit.read", "users.manage"]}]},
            "delete": {"security": [{"key": ["audit.read"]}, {"session": ["audit.read"]}]},
        }}}));
        for method in [Method::GET, Method::HEAD, Method::PUT, Method::POST, Method::PATCH] {
            assert_eq!(access.of(&method, "/a"), Found::Nothing, "{method}");
        }
        assert_eq!(access.of(&Method::DELETE, "/a"), Found::Needs(Needs::One(Permission::AuditRead)));
        assert_eq!(access.of(&Method::OPTIONS, "/a"), Found::OtherMethods);
        assert_eq!(access.of(&Method::GET, "/b"), Found::Nothing);
    }
}
