//! The steps of a number that is ours, from its registration to the test call.

use askama::Template;
use axum::{
    Router,
    body::Bytes,
    extract::{Path, Query},
    http::{Method, StatusCode},
    response::{IntoResponse, Redirect},
    routing::get,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Frame, Step, address, go_on, keep, leave};
use crate::{
    console::{
        Console, Refused,
        ask::{Desk, Shown},
        form::Form,
        numbers::{
            Named, Number, api_of, carriers, default_inbox, inboxes, ivr_names, ivrs, need, number,
            one::{linkable, published},
            registrations::{self, Fields, Registration},
            sentences,
            test_call::{self, Piece},
            warned,
        },
        page,
        shell::{Section, Shell},
        words::encoded,
    },
    identity::permission::Permission,
};

pub(super) fn routes() -> Router<Console> {
    Router::new().route("/console/numbers/{number}/set-up", get(show).post(take))
}

#[derive(Deserialize)]
struct Asked {
    step: Option<String>,
}

async fn show(desk: Desk, Path(name): Path<String>, Query(asked): Query<Asked>) -> Shown {
    need(&desk, Permission::NumbersEdit)?;
    let number = number(&desk, &name).await?;
    if !number.is_held() {
        let detail = format!("{} is not here: {}.", number.shown(), number.voice().0.to_lowercase());
        return Err(Refused::new(409, "not_held", detail, "Its page says what can be done."));
    }
    let unsaid = if number.is_active() { Step::LinkIvr } else { Step::ActivateVoice };
    let wanted = asked.step.as_deref().or(number.setup.as_deref()).and_then(Step::parse).unwrap_or(unsaid);
    if wanted.needs_voice() && !number.is_active() {
        return Ok(Redirect::to(&address(&number.number, Some(Step::ActivateVoice))).into_response());
    }
    drawn(&desk, number, wanted, &Form::default(), Vec::new()).await
}

/// What a step's form says, done.
async fn take(desk: Desk, Path(name): Path<String>, body: Bytes) -> Shown {
    need(&desk, Permission::NumbersEdit)?;
    let form = Form::read(&body);
    let Some(step) = Step::parse(form.text("step")) else {
        return Err(Refused::new(400, "no_such_step", "There is no such step.", "Open the set-up again."));
    };
    let came = match step {
        Step::Registration => register(&desk, &name, &form).await,
        Step::ActivateVoice => activate(&desk, &name, &form).await,
        Step::LinkIvr => choose_line(&desk, &name, &form).await,
        Step::PickIvr => pick(&desk, &name, &form).await,
        Step::LinkInboxes => link(&desk, &name, &form).await,
        Step::TestCall => finish(&desk, &name).await,
    };
    match came {
        Err(refused) if !matches!(refused.status, 403 | 404) => {
            let number = number(&desk, &name).await?;
            drawn(&desk, number, step, &form, sentences(&refused)).await
        }
        came => came,
    }
}

async fn register(desk: &Desk, name: &str, form: &Form) -> Shown {
    let words = match form.text("act") {
        "hand_in" => {
            let number = number(desk, name).await?;
            registrations::hand_in(desk, &number, form).await?;
            "It is handed in. Voice does not wait for it."
        }
        "join" => {
            registrations::join(desk, form.text("registration"), name).await?;
            "The number joins the campaign."
        }
        "off" => {
            let path = format!("{}/registration", api_of(name));
            desk.send(Method::POST, &path, Some(&json!({"event": "switch_off"}))).await?;
            "SMS is off for this number."
        }
        _ => "",
    };
    go_on(desk, name, Step::ActivateVoice, words).await
}

async fn activate(desk: &Desk, name: &str, form: &Form) -> Shown {
    if form.text("act") != "yes" {
        keep(desk, name, Some(Step::ActivateVoice)).await?;
        return Ok(leave(name, "The number is yours, and takes no calls until voice is activated."));
    }
    let answer = voice(desk, name, &json!({"active": true})).await?;
    go_on(desk, name, Step::LinkIvr, &published(&answer)).await
}

async fn choose_line(desk: &Desk, name: &str, form: &Form) -> Shown {
    if form.text("act") == "ivr" {
        return go_on(desk, name, Step::PickIvr, "").await;
    }
    voice(desk, name, &json!({"initial_ivr": null, "queue_ivr": null})).await?;
    go_on(desk, name, Step::LinkInboxes, "It is a direct line. Choose its inbox.").await
}

async fn pick(desk: &Desk, name: &str, form: &Form) -> Shown {
    if form.text("act") == "leave" {
        let number = number(desk, name).await?;
        let words = match number.state.as_str() {
            "ivr_linked" => "Its IVRs stay as they are. The set-up can be gone on with.",
            _ => "It is a direct line. The set-up can be gone on with.",
        };
        return Ok(leave(name, words));
    }
    let (initial, queue) = (form.optional("initial_ivr"), form.optional("queue_ivr"));
    if initial.is_null() && queue.is_null() {
        let detail = "No IVR is picked.";
        return Err(Refused::new(422, "no_ivr", detail, "Pick one, or leave the number as a direct line."));
    }
    let mut wanted = json!({"initial_ivr": initial, "queue_ivr": queue});
    let wait = form.number("queue_wait_seconds");
    if !queue.is_null() && !wait.is_null() {
        wanted["queue_wait_seconds"] = wait;
    }
    let answer = voice(desk, name, &wanted).await?;
    go_on(desk, name, Step::LinkInboxes, &format!("{}{}", published(&answer), warned(&answer))).await
}

async fn link(desk: &Desk, name: &str, form: &Form) -> Shown {
    let mut wanted = json!({});
    if form.ticked("inbox") {
        wanted["inbox"] = form.optional("inbox");
    }
    let mut exits = serde_json::Map::new();
    for exit in form.all("exit") {
        exits.insert(exit.to_owned(), form.optional(&format!("inbox of {exit}")));
    }
    wanted["exits"] = Value::Object(exits);
    let answer = voice(desk, name, &wanted).await?;
    go_on(desk, name, Step::TestCall, &published(&answer)).await
}

async fn finish(desk: &Desk, name: &str) -> Shown {
    keep(desk, name, None).await?;
    Ok(leave(name, "The set-up is done: the number is ready for calls. All of it can be changed here."))
}

async fn voice(desk: &Desk, name: &str, wanted: &Value) -> Result<Value, Refused> {
    desk.send(Method::POST, &format!("{}/voice", api_of(name)), Some(wanted)).await
}

/// An exit of an IVR, and the inbox that it has of its own.
struct Exit {
    /// `ivr_main/exit_sales`.
    name: String,
    ivr: String,
    exit: String,
    inbox: String,
}

/// Where an entry point leads, and why.
#[derive(Deserialize)]
struct Leads {
    inbox: Option<String>,
    because: String,
}

/// The exits of IVRs, also of those that they run as a part.
async fn exits(desk: &Desk, linked: Vec<String>, names: &Named) -> Result<Vec<Exit>, Refused> {
    let (mut all, mut waiting, mut seen) = (Vec::new(), linked, Vec::new());
    while let Some(ivr) = waiting.pop() {
        if seen.contains(&ivr) {
            continue;
        }
        let document: Value = desk.get(&format!("/api/v1/ivrs/{}", encoded(&ivr))).await?;
        for (exit, node) in document.get("nodes").and_then(Value::as_object).into_iter().flatten() {
            match node.get("type").and_then(Value::as_str) {
                Some("exit") => all.push((ivr.clone(), exit.clone())),
                Some("sub_ivr") => {
                    waiting.extend(node.get("ivr").and_then(Value::as_str).map(str::to_owned));
                }
                _ => {}
            }
        }
        seen.push(ivr);
    }
    let mut exits = Vec::new();
    for (ivr, exit) in all {
        let name = format!("{ivr}/{exit}");
        let leads: Option<Leads> = desk.find(&format!("/api/v1/entry-points/ivr/{}", encoded(&name))).await?;
        let own = leads.filter(|leads| leads.because == "exception").and_then(|leads| leads.inbox);
        let inbox = own.unwrap_or_default();
        exits.push(Exit { name, ivr: names.of(&ivr).to_owned(), exit, inbox });
    }
    Ok(exits)
}

#[derive(Template)]
#[template(path = "numbers/wizard/registration.html")]
struct RegistrationStep {
    shell: Shell,
    frame: Frame,
    faults: Vec<String>,
    number: Number,
    registers: bool,
    registration: Option<Registration>,
    /// Campaigns that it can join.
    campaigns: Vec<Registration>,
    fields: Fields,
    may_register: bool,
}

#[derive(Template)]
#[template(path = "numbers/wizard/activate.html")]
struct ActivateStep {
    shell: Shell,
    frame: Frame,
    faults: Vec<String>,
    number: Number,
    default_inbox: String,
}

#[derive(Template)]
#[template(path = "numbers/wizard/line.html")]
struct LineStep {
    shell: Shell,
    frame: Frame,
    faults: Vec<String>,
    number: Number,
}

#[derive(Template)]
#[template(path = "numbers/wizard/pick.html")]
struct PickStep {
    shell: Shell,
    frame: Frame,
    faults: Vec<String>,
    number: Number,
    initial: Vec<(String, String)>,
    queue: Vec<(String, String)>,
    initial_ivr: String,
    queue_ivr: String,
    wait: String,
}

#[derive(Template)]
#[template(path = "numbers/wizard/inboxes.html")]
struct InboxesStep {
    shell: Shell,
    frame: Frame,
    faults: Vec<String>,
    number: Number,
    inbox: String,
    exits: Vec<Exit>,
    inboxes: Named,
    default_inbox: String,
    default_of_exits: String,
}

#[derive(Template)]
#[template(path = "numbers/wizard/test_call.html")]
struct TestCallStep {
    shell: Shell,
    frame: Frame,
    faults: Vec<String>,
    number: Number,
    piece: Piece,
}

/// A step's page; what was typed comes before what stands in the record.
async fn drawn(desk: &Desk, number: Number, step: Step, typed: &Form, faults: Vec<String>) -> Shown {
    let status = if faults.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let title = format!("{}: {}", number.shown(), step.title());
    let shell = desk.shell(Some(Section::Numbers), title).await?;
    let frame = Frame::at(&number, step);
    let page = match step {
        Step::Registration => {
            let surroundings = (shell, frame, faults);
            page::shown(registration_step(desk, number, typed, surroundings).await?)
        }
        Step::ActivateVoice => {
            let default_inbox = default_inbox(desk, "voice", &inboxes(desk).await?).await?;
            page::shown(ActivateStep { shell, frame, faults, number, default_inbox })
        }
        Step::LinkIvr => page::shown(LineStep { shell, frame, faults, number }),
        Step::PickIvr => page::shown(pick_step(desk, number, typed, (shell, frame, faults)).await?),
        Step::LinkInboxes => page::shown(inboxes_step(desk, number, typed, (shell, frame, faults)).await?),
        Step::TestCall => {
            let piece = test_call::piece(desk, &number.number).await?;
            page::shown(TestCallStep { shell, frame, faults, number, piece })
        }
    };
    Ok((status, page).into_response())
}

type Surroundings = (Shell, Frame, Vec<String>);

async fn registration_step(
    desk: &Desk,
    number: Number,
    typed: &Form,
    (shell, frame, faults): Surroundings,
) -> Result<RegistrationStep, Refused> {
    let accounts = carriers(desk).await?;
    let account = number.facts.carrier.as_ref().and_then(|id| accounts.iter().find(|one| one.id == *id));
    let registers = account.is_some_and(|account| account.registers);
    let campaigns = match registers && !number.is_toll_free() {
        true => registrations::all(desk).await?,
        false => Vec::new(),
    };
    let joins =
        |one: &Registration| one.kind == "ten_dlc" && Some(&one.carrier) == number.facts.carrier.as_ref();
    Ok(RegistrationStep {
        registration: registrations::of_number(desk, &number).await?,
        campaigns: campaigns.into_iter().filter(joins).collect(),
        fields: registrations::fields(desk, number.is_toll_free(), &registrations::typed(typed)).await?,
        may_register: desk.may(Permission::NumbersCompliance),
        shell,
        frame,
        faults,
        number,
        registers,
    })
}

async fn pick_step(
    desk: &Desk,
    number: Number,
    typed: &Form,
    (shell, frame, faults): Surroundings,
) -> Result<PickStep, Refused> {
    let ivrs = ivrs(desk).await?;
    let said = |name: &str, stands: Option<String>| match typed.ticked(name) {
        true => typed.trimmed(name).to_owned(),
        false => stands.unwrap_or_default(),
    };
    let initial_ivr = said("initial_ivr", number.initial_ivr.clone());
    let queue_ivr = said("queue_ivr", number.queue_ivr.clone());
    let wait = said("queue_wait_seconds", number.queue_wait_seconds.map(|wait| wait.to_string()));
    Ok(PickStep {
        initial: linkable(&ivrs, "initial", &initial_ivr),
        queue: linkable(&ivrs, "queue", &queue_ivr),
        shell,
        frame,
        faults,
        number,
        initial_ivr,
        queue_ivr,
        wait,
    })
}

async fn inboxes_step(
    desk: &Desk,
    number: Number,
    typed: &Form,
    (shell, frame, faults): Surroundings,
) -> Result<InboxesStep, Refused> {
    let linked = [&number.queue_ivr, &number.initial_ivr].into_iter().flatten().cloned().collect();
    let names = ivr_names(&ivrs(desk).await?);
    let mut exits = exits(desk, linked, &names).await?;
    for exit in &mut exits {
        let field = format!("inbox of {}", exit.name);
        if typed.ticked(&field) {
            exit.inbox = typed.trimmed(&field).to_owned();
        }
    }
    let inboxes = inboxes(desk).await?;
    let inbox = if typed.ticked("inbox") {
        typed.trimmed("inbox").to_owned()
    } else {
        number.inbox.clone().unwrap_or_default()
    };
    Ok(InboxesStep {
        default_inbox: default_inbox(desk, "voice", &inboxes).await?,
        default_of_exits: default_inbox(desk, "ivr", &inboxes).await?,
        shell,
        frame,
        faults,
        number,
        inbox,
        exits,
        inboxes,
    })
}
