//! A reader of the console without scripts: opens pages, fills in the forms that they hold, and follows where they lead.

use axum::{
    body::{Body, to_bytes},
    http::{HeaderMap, Request, StatusCode, header},
};
use tower::ServiceExt;
use vestibule::api;

use super::gateway::Gateway;

/// Somebody who reads pages, and what is open before them.
pub(crate) struct Reader {
    router: axum::Router,
    key: String,
    flash: Option<String>,
    pub(crate) path: String,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

/// A form as it stands on a page, filled as the page fills it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Form {
    pub(crate) action: String,
    pub(crate) method: String,
    pub(crate) fields: Vec<(String, String)>,
    /// Buttons that send something of their own.
    pub(crate) buttons: Vec<(String, String)>,
}

impl Reader {
    pub(crate) fn new(gateway: &Gateway, key: &str) -> Self {
        Self {
            router: api::router(gateway.state.clone()),
            key: key.to_owned(),
            flash: None,
            path: String::new(),
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            text: String::new(),
        }
    }

    /// Opens a page, and those that it leads on to.
    pub(crate) async fn open(&mut self, path: &str) -> &str {
        self.path = path.to_owned();
        let request = Request::get(path);
        self.send(request, Body::empty()).await;
        self.follow().await
    }

    /// Presses a button of the form that goes to an address: with the name and value of the button, when it has them,
    /// and with what is typed into fields that the form has.
    pub(crate) async fn press(
        &mut self,
        action: &str,
        button: Option<(&str, &str)>,
        typed: &[(&str, &str)],
    ) -> &str {
        let form = self.form(action, button);
        self.submit(form, button, typed).await
    }

    /// Sends a form as it was found earlier.
    pub(crate) async fn submit(
        &mut self,
        mut form: Form,
        button: Option<(&str, &str)>,
        typed: &[(&str, &str)],
    ) -> &str {
        for (name, value) in typed {
            let place = form.fields.iter_mut().find(|(known, _)| known == name);
            place.unwrap_or_else(|| panic!("{} has no field {name}", form.action)).1 = (*value).to_owned();
        }
        form.fields.extend(button.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let fields = form.fields.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let fields: Vec<(&str, &str)> = fields.collect();
        if form.method == "get" {
            let query = encoded(&fields);
            return self.open(&format!("{}?{query}", form.action)).await;
        }
        self.post(&form.action, &fields).await;
        self.follow().await
    }

    /// Sends fields to an address without a form, as a page of ours would.
    pub(crate) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) {
        self.path = path.to_owned();
        let request = Request::post(path)
            .header("sec-fetch-site", "same-origin")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.send(request, Body::from(encoded(fields))).await;
    }

    async fn send(&mut self, request: axum::http::request::Builder, body: Body) {
        let mut request = request.header(header::AUTHORIZATION, format!("Bearer {}", self.key));
        if let Some(flash) = self.flash.take() {
            request = request.header(header::COOKIE, flash);
        }
        let response = self.router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        self.text = String::from_utf8(to_bytes(body, 8 << 20).await.unwrap().to_vec()).unwrap();
        (self.status, self.headers) = (parts.status, parts.headers);
    }

    async fn follow(&mut self) -> &str {
        for _ in 0..5 {
            if self.status != StatusCode::SEE_OTHER {
                break;
            }
            let cookie = self.headers.get(header::SET_COOKIE).map(|cookie| cookie.to_str().unwrap());
            self.flash = cookie.map(|cookie| cookie.split(';').next().unwrap().to_owned());
            self.path = self.headers[header::LOCATION].to_str().unwrap().to_owned();
            let request = Request::get(&self.path);
            self.send(request, Body::empty()).await;
        }
        &self.text
    }

    /// The one form of the page that goes to an address, and has the button.
    pub(crate) fn form(&self, action: &str, button: Option<(&str, &str)>) -> Form {
        let has = |form: &Form| {
            button.is_none_or(|(name, value)| form.buttons.contains(&(name.to_owned(), value.to_owned())))
        };
        let all = forms(&self.text);
        all.iter()
            .find(|form| form.action == action && has(form))
            .cloned()
            .unwrap_or_else(|| panic!("{} has no form to {action} with {button:?}: {}", self.path, self.text))
    }

    /// The form of the page that goes to an address and has a field of this name.
    pub(crate) fn form_with(&self, action: &str, field: &str) -> Form {
        let has = |form: &&Form| form.fields.iter().any(|(name, _)| name == field);
        let found = forms(&self.text);
        let found = found.iter().filter(|form| form.action == action).find(has).cloned();
        found.unwrap_or_else(|| panic!("{} has no form to {action} with {field}: {}", self.path, self.text))
    }

    /// The addresses of the page's links that begin like this.
    pub(crate) fn links(&self, beginning: &str) -> Vec<String> {
        let links = tags(&self.text).into_iter().filter(|(tag, _)| tag.starts_with("a "));
        let hrefs = links.filter_map(|(tag, _)| attribute(&tag, "href"));
        hrefs.filter(|href| href.starts_with(beginning)).collect()
    }

    /// Whether the page says something, whatever stands around it.
    pub(crate) fn says(&self, words: &str) -> bool {
        plain(&self.text).contains(words)
    }
}

/// The words of a page, without its marks.
pub(crate) fn plain(text: &str) -> String {
    let words: String = tags(text).into_iter().map(|(_, words)| words).collect();
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Each tag with the words that follow it.
fn tags(text: &str) -> Vec<(String, String)> {
    let parts = text.split('<').skip(1);
    parts
        .map(|part| {
            let (tag, words) = part.split_once('>').unwrap_or((part, ""));
            (tag.to_owned(), decoded(words))
        })
        .collect()
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, behind) = tag.split_once(&format!(" {name}=\""))?;
    Some(decoded(behind.split('"').next()?))
}

fn has(tag: &str, name: &str) -> bool {
    tag.split(' ').any(|word| word == name)
}

fn decoded(text: &str) -> String {
    let named =
        [("&#60;", "<"), ("&#62;", ">"), ("&#34;", "\""), ("&#39;", "'"), ("&amp;", "&"), ("&#38;", "&")];
    named.into_iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

fn encoded(fields: &[(&str, &str)]) -> String {
    let percent = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    let pairs: Vec<String> =
        fields.iter().map(|(name, value)| format!("{}={}", percent(name), percent(value))).collect();
    pairs.join("&")
}

/// The forms of a page.
fn forms(text: &str) -> Vec<Form> {
    let (mut all, mut form) = (Vec::new(), Form::default());
    let mut select: Option<(String, Option<String>)> = None;
    for (tag, words) in tags(text) {
        let name = attribute(&tag, "name").unwrap_or_default();
        let value = attribute(&tag, "value").unwrap_or_default();
        match tag.split(' ').next().unwrap_or_default() {
            "form" => {
                let method = attribute(&tag, "method").unwrap_or_default();
                form =
                    Form { action: attribute(&tag, "action").unwrap_or_default(), method, ..Form::default() };
            }
            "/form" => all.push(std::mem::take(&mut form)),
            "input" if name.is_empty() || has(&tag, "disabled") => {}
            "input" if attribute(&tag, "type").as_deref() == Some("checkbox") => {
                let sent = if value.is_empty() { "on".to_owned() } else { value };
                form.fields.extend(has(&tag, "checked").then_some((name, sent)));
            }
            "input" => form.fields.push((name, value)),
            "textarea" => form.fields.push((name, words)),
            "button" if !name.is_empty() => form.buttons.push((name, value)),
            "select" => select = Some((name, None)),
            "option" => {
                if let Some((_, chosen)) = &mut select
                    && (chosen.is_none() || has(&tag, "selected"))
                {
                    *chosen = Some(value);
                }
            }
            "/select" => {
                if let Some((name, chosen)) = select.take() {
                    form.fields.push((name, chosen.unwrap_or_default()));
                }
            }
            _ => {}
        }
    }
    all
}
