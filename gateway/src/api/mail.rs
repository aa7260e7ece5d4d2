//! Mail domains and mailboxes: what mail is taken for, and what proves it.

use axum::{extract::State, http::StatusCode};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use vestibule_config::{
    mail::{DomainRecord, MailStanding, MailboxEvent, MailboxRecord, domain_name},
    store::AuditRow,
};

use super::{
    AppState,
    extract::{Actor, Json, Path, Query},
    problem::{ApiResult, Problem},
    routing::blocking,
};
use crate::message::{mail, mailboxes};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list_domains, add_domain))
        .routes(routes!(read_domain, remove_domain))
        .routes(routes!(verify_domain))
        .routes(routes!(list_mailboxes, add_mailbox))
        .routes(routes!(read_mailbox, remove_mailbox))
        .routes(routes!(begin_test))
        .routes(routes!(change_state))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct PageQuery {
    /// Those behind this one: the `next` of the page before.
    #[serde(default)]
    after: String,
    /// At most so many.
    #[serde(default = "fifty")]
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: u32,
}

impl PageQuery {
    fn checked(self) -> ApiResult<Self> {
        if (1..=500).contains(&self.limit) {
            Ok(self)
        } else {
            Err(Problem::bad_request(format!("`limit` is {}, not 1 to 500.", self.limit)))
        }
    }
}

fn fifty() -> u32 {
    50
}

/// A domain that mail comes to.
#[derive(Debug, Serialize, ToSchema)]
struct DomainView {
    /// The domain.
    domain: String,
    /// `pending`, `verified` or `failed`.
    state: String,
    /// `record`: its TXT record; `start`: it stood in the first document. None while it is not verified.
    verified_by: Option<String>,
    /// What to write into the domain's zone: `type`, `name`, `value`, `why`.
    #[schema(value_type = Vec<Object>)]
    records: Vec<Value>,
    /// When the name service last answered.
    #[schema(value_type = Option<String>, format = DateTime)]
    checked: Option<Timestamp>,
    /// Since when the record of a verified domain is missing; after 14 days its mail is refused.
    #[schema(value_type = Option<String>, format = DateTime)]
    missing_since: Option<Timestamp>,
    /// What is wrong, as of the last look.
    problem: Option<String>,
    /// When it was added.
    #[schema(value_type = String, format = DateTime)]
    added: Timestamp,
}

/// An address that mail is taken for.
#[derive(Debug, Serialize, ToSchema)]
struct MailboxView {
    /// The address.
    address: String,
    /// `unverified`, `forwarding_requested` or `verified`.
    state: String,
    /// Whether its mail goes to its inbox: domain and mailbox are verified, and it has an entry point.
    live: bool,
    /// What verified it: `{"how": "test"}`, `{"how": "hand", "note": …}` or `{"how": "start"}`.
    #[schema(value_type = Option<Object>)]
    verified_by: Value,
    /// Forwarders' questions whether the address wants their mail, the newest first: `at`, `from`, `subject`,
    /// `link_or_code`, `mail` (`GET /api/v1/mails/{mail}`). Each is signed by the forwarder. Open the link yourself, if you
    /// asked for it.
    #[schema(value_type = Vec<Object>)]
    confirmations: Value,
    /// Until when the mail of a test is waited for; none: there is no test.
    #[schema(value_type = Option<String>, format = DateTime)]
    test_expires: Option<Timestamp>,
    /// When it was added.
    #[schema(value_type = String, format = DateTime)]
    added: Timestamp,
    /// When it last changed.
    #[schema(value_type = String, format = DateTime)]
    changed: Timestamp,
}

/// List mail domains.
#[utoipa::path(get, path = "/api/v1/mail-domains", security(("key" = ["mail.read"])), tag = "mail", params(PageQuery), responses(
    (status = 200, description = "A page of domains; `next` is absent at the end.", body = Object),
    (status = 400, description = "A parameter is wrong.", body = Problem, content_type = "application/problem+json"),
))]
async fn list_domains(
    State(state): State<AppState>,
    Query(query): Query<PageQuery>,
) -> ApiResult<axum::Json<Value>> {
    let PageQuery { after, limit } = query.checked()?;
    let records = blocking(&state, move |store| store.mail_domains(&after, limit)).await?;
    let full = u32::try_from(records.len()).is_ok_and(|count| count == limit);
    let next = records.last().filter(|_| full).map(|record| record.domain.clone());
    let domains: Vec<DomainView> = records.into_iter().map(|record| domain_view(&state, record)).collect();
    Ok(axum::Json(json!({"mail_domains": domains, "next": next})))
}

/// A domain to be added.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewDomain {
    /// The domain, such as `mail.example.com`.
    domain: String,
}

/// Add a mail domain. The answer has the records to write into its zone; then have it verified.
#[utoipa::path(post, path = "/api/v1/mail-domains", security(("key" = ["mail.manage"])), tag = "mail", request_body = NewDomain, responses(
    (status = 201, description = "It waits for its TXT record.", body = DomainView),
    (status = 400, description = "It is no domain.", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "It is there already.", body = Problem, content_type = "application/problem+json"),
))]
async fn add_domain(
    State(state): State<AppState>,
    Actor(actor): Actor,
    Json(NewDomain { domain }): Json<NewDomain>,
) -> ApiResult<(StatusCode, axum::Json<DomainView>)> {
    let name = named(&domain)?;
    let record =
        blocking(&state, move |store| store.add_mail_domain(&name, mailboxes::word(), &actor)).await?;
    Ok((StatusCode::CREATED, axum::Json(domain_view(&state, record))))
}

/// Read a mail domain with the audit of its record.
#[utoipa::path(get, path = "/api/v1/mail-domains/{domain}", security(("key" = ["mail.read"])), tag = "mail",
    params(("domain" = String, Path, description = "The domain")),
    responses(
        (status = 200, description = "The domain and what was done to its record.", body = Object),
        (status = 404, description = "No such domain.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn read_domain(
    State(state): State<AppState>,
    Path(domain): Path<String>,
) -> ApiResult<axum::Json<Value>> {
    let name = named(&domain)?;
    let (record, audit): (Option<DomainRecord>, Vec<AuditRow>) =
        blocking(&state, move |store| Ok((store.mail_domain(&name)?, store.audit(&name, AUDIT_MAX)?)))
            .await?;
    let record = record.ok_or_else(|| no_record(&domain))?;
    Ok(axum::Json(json!({"mail_domain": domain_view(&state, record), "audit": audit})))
}

/// Remove a mail domain that has no mailbox any more.
#[utoipa::path(delete, path = "/api/v1/mail-domains/{domain}", security(("key" = ["mail.manage"])), tag = "mail",
    params(("domain" = String, Path, description = "The domain")),
    responses(
        (status = 204, description = "It is gone; its mail is put off, as that of all domains without a record."),
        (status = 404, description = "No such domain.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It has mailboxes.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn remove_domain(
    State(state): State<AppState>,
    Actor(actor): Actor,
    Path(domain): Path<String>,
) -> ApiResult<StatusCode> {
    let name = named(&domain)?;
    blocking(&state, move |store| store.remove_mail_domain(&name, &actor)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Have a mail domain's TXT record looked for now. It is looked for by itself too, every `mail.domain_check_minutes`.
#[utoipa::path(post, path = "/api/v1/mail-domains/{domain}/verify", security(("key" = ["mail.manage"])), tag = "mail",
    params(("domain" = String, Path, description = "The domain")),
    responses(
        (status = 200, description = "The domain as it is now; `problem` says what was not found.", body = DomainView),
        (status = 404, description = "No such domain.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn verify_domain(
    State(state): State<AppState>,
    Actor(actor): Actor,
    Path(domain): Path<String>,
) -> ApiResult<axum::Json<DomainView>> {
    let record = state.mailboxes.verify(&named(&domain)?, &actor).await?;
    Ok(axum::Json(domain_view(&state, record)))
}

/// List mailboxes.
#[utoipa::path(get, path = "/api/v1/mailboxes", security(("key" = ["mail.read"])), tag = "mail", params(PageQuery), responses(
    (status = 200, description = "A page of mailboxes; `next` is absent at the end.", body = Object),
    (status = 400, description = "A parameter is wrong.", body = Problem, content_type = "application/problem+json"),
))]
async fn list_mailboxes(
    State(state): State<AppState>,
    Query(query): Query<PageQuery>,
) -> ApiResult<axum::Json<Value>> {
    let PageQuery { after, limit } = query.checked()?;
    let records = blocking(&state, move |store| store.mailboxes(&after, limit)).await?;
    let full = u32::try_from(records.len()).is_ok_and(|count| count == limit);
    let next = records.last().filter(|_| full).map(|record| record.address.clone());
    let mailboxes: Vec<MailboxView> =
        records.into_iter().map(|record| mailbox_view(&state, record)).collect();
    Ok(axum::Json(json!({"mailboxes": mailboxes, "next": next})))
}

/// A mailbox to be added.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewMailbox {
    /// The address, such as `help@mail.example.com`; its domain must have been added.
    address: String,
}

/// Add a mailbox: an address that mail is forwarded to, or that the domain's MX record brings mail for.
///
/// Its inbox is set up in the routing document, as the entry point `email/ADDRESS`.
#[utoipa::path(post, path = "/api/v1/mailboxes", security(("key" = ["mail.manage"])), tag = "mail", request_body = NewMailbox, responses(
    (status = 201, description = "It waits to be verified: its mail is put off until then.", body = MailboxView),
    (status = 400, description = "It is no address.", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "Its domain was not added.", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "It is there already.", body = Problem, content_type = "application/problem+json"),
))]
async fn add_mailbox(
    State(state): State<AppState>,
    Actor(actor): Actor,
    Json(NewMailbox { address }): Json<NewMailbox>,
) -> ApiResult<(StatusCode, axum::Json<MailboxView>)> {
    let address = addressed(&address)?;
    let record = blocking(&state, move |store| store.add_mailbox(&address, &actor)).await?;
    Ok((StatusCode::CREATED, axum::Json(mailbox_view(&state, record))))
}

/// Read a mailbox with the audit of its record.
#[utoipa::path(get, path = "/api/v1/mailboxes/{address}", security(("key" = ["mail.read"])), tag = "mail",
    params(("address" = String, Path, description = "The address")),
    responses(
        (status = 200, description = "The mailbox, forwarders' questions, and what was done to its record.", body = Object),
        (status = 404, description = "No such mailbox.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn read_mailbox(
    State(state): State<AppState>,
    Path(address): Path<String>,
) -> ApiResult<axum::Json<Value>> {
    let name = addressed(&address)?;
    let (record, audit): (Option<MailboxRecord>, Vec<AuditRow>) =
        blocking(&state, move |store| Ok((store.mailbox(&name)?, store.audit(&name, AUDIT_MAX)?))).await?;
    let record = record.ok_or_else(|| no_record(&address))?;
    Ok(axum::Json(json!({"mailbox": mailbox_view(&state, record), "audit": audit})))
}

/// Remove a mailbox: its mail is put off from now on.
#[utoipa::path(delete, path = "/api/v1/mailboxes/{address}", security(("key" = ["mail.manage"])), tag = "mail",
    params(("address" = String, Path, description = "The address")),
    responses(
        (status = 204, description = "It is gone."),
        (status = 404, description = "No such mailbox.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn remove_mailbox(
    State(state): State<AppState>,
    Actor(actor): Actor,
    Path(address): Path<String>,
) -> ApiResult<StatusCode> {
    let address = addressed(&address)?;
    blocking(&state, move |store| store.remove_mailbox(&address, &actor)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What to send.
#[derive(Debug, Serialize, ToSchema)]
struct TestView {
    /// The word that the mail must have in its subject or text. It is told once.
    word: String,
    /// Until when it may come.
    #[schema(value_type = String, format = DateTime)]
    expires: Timestamp,
}

/// Begin a test: send a mail with this word to the address that is forwarded (or to the mailbox itself, where an MX record
/// brings its mail). When it comes in, the mailbox is verified.
#[utoipa::path(post, path = "/api/v1/mailboxes/{address}/test", security(("key" = ["mail.manage"])), tag = "mail",
    params(("address" = String, Path, description = "The address")),
    responses(
        (status = 200, description = "What to send; a test of before is over.", body = TestView),
        (status = 404, description = "No such mailbox.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn begin_test(
    State(state): State<AppState>,
    Actor(actor): Actor,
    Path(address): Path<String>,
) -> ApiResult<axum::Json<TestView>> {
    let test = state.mailboxes.begin_test(&addressed(&address)?, &actor).await?;
    Ok(axum::Json(TestView { word: test.word, expires: test.expires }))
}

/// What an administrator says of a mailbox.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct StateChange {
    /// `verify` (its mail comes, you have seen it) or `withdraw`.
    event: StateEvent,
    /// Why; kept in the audit. Needed to verify.
    #[serde(default)]
    note: String,
}

#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum StateEvent {
    Verify,
    Withdraw,
}

/// Say by hand that a mailbox's mail comes in, or take that back.
#[utoipa::path(post, path = "/api/v1/mailboxes/{address}/state", security(("key" = ["mail.manage"])), tag = "mail", request_body = StateChange,
    params(("address" = String, Path, description = "The address")),
    responses(
        (status = 200, description = "The mailbox as it is now.", body = MailboxView),
        (status = 400, description = "There is no note.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such mailbox.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn change_state(
    State(state): State<AppState>,
    Actor(actor): Actor,
    Path(address): Path<String>,
    Json(StateChange { event, note }): Json<StateChange>,
) -> ApiResult<axum::Json<MailboxView>> {
    let name = addressed(&address)?;
    let note = note.trim().to_owned();
    let event = match event {
        StateEvent::Verify if note.is_empty() || note.chars().count() > NOTE_MAX => {
            return Err(Problem::bad_request(format!("`note` says why, in 1 to {NOTE_MAX} characters.")));
        }
        StateEvent::Verify => MailboxEvent::VerifiedByHand { note },
        StateEvent::Withdraw => MailboxEvent::Withdrawn,
    };
    let record = state.mailboxes.change(&name, event, &actor).await?;
    let record = record.ok_or_else(|| no_record(&address))?;
    Ok(axum::Json(mailbox_view(&state, record)))
}

/// Rows of the audit that are shown.
const AUDIT_MAX: u32 = 100;

/// Longest note, in characters.
const NOTE_MAX: usize = 500;

fn named(domain: &str) -> ApiResult<String> {
    domain_name(domain).ok_or_else(|| {
        Problem::bad_request(format!(
            "\"{domain}\" is no domain; write it in ASCII, such as `mail.example.com`."
        ))
    })
}

fn addressed(text: &str) -> ApiResult<String> {
    let address = mail::mailbox(text);
    let good = address.rsplit_once('@').is_some_and(|(user, domain)| {
        !user.is_empty() && user.len() <= 64 && domain_name(domain).as_deref() == Some(domain)
    });
    if good {
        Ok(address)
    } else {
        Err(Problem::bad_request(format!("\"{text}\" is no address, such as `help@mail.example.com`.")))
    }
}

fn no_record(what: &str) -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "no_such_mail_record",
        format!("{what} has no record."),
        "List the mail domains or mailboxes to find it, or add it.",
    )
}

fn domain_view(state: &AppState, record: DomainRecord) -> DomainView {
    let records = vec![
        json!({
            "type": "TXT", "name": record.challenge_name(), "value": record.challenge_text(),
            "why": "proves that the domain is yours; keep it",
        }),
        json!({
            "type": "MX", "name": record.domain, "value": format!("10 {}", state.mailboxes.host()),
            "why": "brings the domain's mail here; not needed where another server forwards single addresses",
        }),
    ];
    DomainView {
        domain: record.domain,
        state: word_of(&record.state),
        verified_by: record.verified_by.as_ref().map(word_of),
        records,
        checked: record.checked,
        missing_since: record.missing_since,
        problem: record.problem,
        added: record.added,
    }
}

fn mailbox_view(state: &AppState, record: MailboxRecord) -> MailboxView {
    let routed = crate::smtp::has_entry_point(&state.store, &record.address);
    MailboxView {
        live: routed && state.mailboxes.standing(&record.address) == MailStanding::Live,
        state: word_of(&record.state),
        verified_by: serde_json::to_value(&record.verified_by).unwrap_or_default(),
        confirmations: serde_json::to_value(&record.confirmations).unwrap_or_default(),
        test_expires: record.test.map(|test| test.expires),
        added: record.added,
        changed: record.changed,
        address: record.address,
    }
}

/// A closed word as documents have it.
fn word_of(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        _ => String::new(),
    }
}
