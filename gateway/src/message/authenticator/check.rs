//! The checks themselves, by `mail-auth`, and its results in our words.

use std::sync::Arc;

use mail_auth::{
    ArcOutput, AuthenticatedMessage, DkimOutput, DkimResult, DmarcResult, Error, MessageAuthenticator,
    Parameters, SpfOutput, SpfResult,
    arc::ArcError,
    dkim::DkimError,
    dmarc::{self, verify::DmarcParameters},
    spf::verify::SpfParameters,
};

use super::Inner;
use crate::message::mail::{
    authentication::{AuthResult, Authentication, Evidence, Finding, Origin},
    spam::Policy,
};

/// What a check comes to.
#[derive(Debug, Default)]
pub(super) struct Checked {
    pub(super) authentication: Authentication,
    /// What the domain in From wants done with mail that is not its own.
    pub(super) policy: Policy,
    /// Domains whose signatures are good.
    pub(super) signed_by: Vec<String>,
    /// The forwarder that is trusted and sealed it last.
    pub(super) sealed_by: Option<String>,
    /// The same, when it says that the mail came to it in order.
    pub(super) vouched_by: Option<String>,
}

/// Signatures of one mail that are looked at; each may cost a question.
const SIGNATURES_MAX: usize = 10;

impl Inner {
    pub(super) async fn check(self: Arc<Self>, evidence: &Evidence) -> Checked {
        let Some(names) = &self.names else { return Checked::default() };
        let Some(mut mail) = AuthenticatedMessage::parse(&evidence.raw) else {
            let broken = || Finding::because(AuthResult::Permerror, "the header cannot be read");
            let (dkim, dmarc, arc) = (broken(), broken(), broken());
            let authentication = Authentication { spf: Finding::default(), dkim, dmarc, arc };
            return Checked { authentication, ..Checked::default() };
        };
        mail.dkim_headers.truncate(SIGNATURES_MAX);
        let told = || Parameters::new(&mail).with_txt_cache(&self.cache);
        let (sender, dkim, arc) = tokio::join!(
            self.sender(names, evidence.origin.as_ref()),
            names.verify_dkim(told()),
            names.verify_arc(told()),
        );
        let mut checked = Checked::default();
        let author =
            mail.from.first().and_then(|from| from.rsplit_once('@')).map_or("", |(_, domain)| domain);
        checked.authentication.spf = sender.as_ref().map(|(_, spf)| of_spf(spf)).unwrap_or_default();
        checked.authentication.dkim = of_signatures(&dkim, author);
        checked.signed_by =
            passing(&dkim).map(|signature| signature.d.to_ascii_lowercase()).take(SIGNATURES_MAX).collect();
        self.arc(&arc, &mut checked);
        let nobody = SpfOutput::new(String::new());
        let (domain, spf) = sender.as_ref().map_or(("", &nobody), |(domain, spf)| (domain.as_str(), spf));
        let asked = DmarcParameters::new(&mail, &dkim, domain, spf);
        let dmarc = names.verify_dmarc(Parameters::new(asked).with_txt_cache(&self.cache)).await;
        checked.policy = match dmarc.policy() {
            dmarc::Policy::Reject => Policy::Reject,
            dmarc::Policy::Quarantine => Policy::Quarantine,
            dmarc::Policy::None | dmarc::Policy::Unspecified => Policy::None,
        };
        checked.authentication.dmarc = of_dmarc(&dmarc.result(), dmarc.domain(), checked.policy);
        checked
    }

    /// Whether who brought the mail may send for its sender; with the domain that it is about.
    async fn sender(
        &self,
        names: &MessageAuthenticator,
        origin: Option<&Origin>,
    ) -> Option<(String, SpfOutput)> {
        let Origin { address, hello, from } = origin?;
        let domain = from.rsplit_once('@').map_or(hello.as_str(), |(_, domain)| domain);
        let parameters = if from.is_empty() {
            SpfParameters::verify_ehlo(*address, hello, &self.host)
        } else {
            SpfParameters::verify_mail_from(*address, hello, &self.host, from)
        };
        let spf = names.verify_spf(Parameters::new(parameters).with_txt_cache(&self.cache)).await;
        Some((domain.to_ascii_lowercase(), spf))
    }

    fn arc(&self, arc: &ArcOutput<'_>, checked: &mut Checked) {
        let last = arc.sets().last();
        let sealer = last.map(|set| set.seal.header.d.to_ascii_lowercase());
        let (result, reason) = of_signature(arc.result());
        checked.authentication.arc = Finding { result, domain: sealer.clone(), reason };
        let trusted = sealer.filter(|_| result == AuthResult::Pass).filter(|sealer| {
            self.trusted.iter().any(|known| {
                sealer.strip_suffix(known.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            })
        });
        let says = last.map(|set| String::from_utf8_lossy(set.results.value).to_ascii_lowercase());
        let in_order = says.is_some_and(|says| {
            let says: String = says.chars().filter(|c| !c.is_whitespace()).collect();
            says.split(';').any(|one| one.starts_with("dmarc=pass"))
        });
        checked.vouched_by = trusted.clone().filter(|_| in_order);
        checked.sealed_by = trusted;
    }
}

fn passing<'a>(dkim: &'a [DkimOutput<'_>]) -> impl Iterator<Item = &'a mail_auth::dkim::Signature> {
    dkim.iter().filter(|output| *output.result() == DkimResult::Pass).filter_map(DkimOutput::signature)
}

fn of_spf(spf: &SpfOutput) -> Finding {
    let result = match spf.result() {
        SpfResult::Pass => AuthResult::Pass,
        SpfResult::Fail => AuthResult::Fail,
        SpfResult::SoftFail => AuthResult::Softfail,
        SpfResult::Neutral => AuthResult::Neutral,
        SpfResult::TempError => AuthResult::Temperror,
        SpfResult::PermError => AuthResult::Permerror,
        SpfResult::None => AuthResult::None,
    };
    let reason = match result {
        AuthResult::None => Some("the domain has no such record"),
        AuthResult::Temperror => Some("the name service did not answer"),
        AuthResult::Permerror => Some("the record is broken, or asks for too much"),
        _ => None,
    };
    let domain = Some(spf.domain().to_owned()).filter(|domain| !domain.is_empty());
    Finding { result, domain, reason: reason.map(str::to_owned) }
}

/// Many signatures, one finding: a good one of the author's domain, any good one, else what is worst to know.
fn of_signatures(dkim: &[DkimOutput<'_>], author: &str) -> Finding {
    let good = || passing(dkim);
    let is_authors = |domain: &str| {
        let (short, long) = if domain.len() < author.len() { (domain, author) } else { (author, domain) };
        long.len() >= short.len()
            && long
                .to_ascii_lowercase()
                .strip_suffix(&short.to_ascii_lowercase())
                .is_some_and(|rest| !short.is_empty() && (rest.is_empty() || rest.ends_with('.')))
    };
    let best = good().find(|signature| is_authors(&signature.d)).or_else(|| good().next());
    if let Some(signature) = best {
        return Finding { result: AuthResult::Pass, domain: Some(signature.d.clone()), reason: None };
    }
    let worst = dkim
        .iter()
        .map(|output| (of_signature(output.result()), output.signature()))
        .min_by_key(|((result, _), _)| *result != AuthResult::Temperror);
    match worst {
        None => Finding::default(),
        Some(((result, reason), signature)) => {
            Finding { result, domain: signature.map(|signature| signature.d.clone()), reason }
        }
    }
}

fn of_signature(result: &DkimResult) -> (AuthResult, Option<String>) {
    match result {
        DkimResult::Pass => (AuthResult::Pass, None),
        DkimResult::None => (AuthResult::None, None),
        // RFC 8601 §2.7.1: a mail that is not what was signed fails.
        DkimResult::Neutral(
            error @ (Error::Dkim(DkimError::FailedBodyHashMatch) | Error::Arc(ArcError::FailedBodyHashMatch)),
        )
        | DkimResult::Fail(error) => (AuthResult::Fail, Some(error.to_string())),
        DkimResult::Neutral(error) => (AuthResult::Neutral, Some(error.to_string())),
        DkimResult::PermError(error) => (AuthResult::Permerror, Some(error.to_string())),
        DkimResult::TempError(error) => (AuthResult::Temperror, Some(error.to_string())),
    }
}

fn of_dmarc(result: &DmarcResult, domain: &str, policy: Policy) -> Finding {
    let wants = match policy {
        Policy::None => "none",
        Policy::Quarantine => "quarantine",
        Policy::Reject => "reject",
    };
    let (result, reason) = match result {
        DmarcResult::Pass => (AuthResult::Pass, None),
        DmarcResult::None => (AuthResult::None, None),
        DmarcResult::Fail(_) => (
            AuthResult::Fail,
            Some(format!("neither SPF nor DKIM passes for this domain; its policy: {wants}")),
        ),
        DmarcResult::TempError(error) => (AuthResult::Temperror, Some(error.to_string())),
        DmarcResult::PermError(error) => (AuthResult::Permerror, Some(error.to_string())),
    };
    Finding { result, domain: Some(domain.to_owned()).filter(|domain| !domain.is_empty()), reason }
}
