//! The name service (DNS), as signalling and mail ask it: which servers, how long, and what is kept of the answers.

use std::time::Duration;

use hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolverConfig, ResolverOpts},
    net::runtime::TokioRuntimeProvider,
};
use vestibule_config::settings::DnsServer;

#[cfg(test)]
pub(crate) mod testing;

/// How long one server may take for one answer; a lost one is asked for once more.
const ANSWER_WITHIN: Duration = Duration::from_millis(700);

/// The longest time for which an answer is kept, whatever it says.
const ANSWER_KEPT_MAX: Duration = Duration::from_secs(3600);

/// The longest time for which it is kept that there is no such record.
const ABSENCE_KEPT_MAX: Duration = Duration::from_secs(60);

/// A resolver that asks these servers, or those that the system names when there are none, and keeps so many answers.
/// None when the system names none either.
pub(crate) fn resolver(servers: &[DnsServer], answers_max: u64) -> Option<TokioResolver> {
    let builder = if servers.is_empty() {
        match TokioResolver::builder_tokio() {
            Ok(builder) => builder,
            Err(error) => {
                tracing::warn!(%error, "the system names no name server");
                return None;
            }
        }
    } else {
        let servers = servers.iter().map(|server| {
            let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
                connection.port = server.0.port();
                connection
            });
            NameServerConfig::new(server.0.ip(), true, connections.to_vec())
        });
        let config = ResolverConfig::from_name_servers(servers.collect());
        TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
    };
    let mut options = ResolverOpts::default();
    options.timeout = ANSWER_WITHIN;
    options.attempts = 1;
    // Room for long lists of servers without a second question over TCP.
    options.edns0 = true;
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    options.cache_size = answers_max;
    options.positive_max_ttl = Some(ANSWER_KEPT_MAX);
    options.negative_max_ttl = Some(ABSENCE_KEPT_MAX);
    match builder.with_options(options).build() {
        Ok(resolver) => Some(resolver),
        Err(error) => {
            tracing::warn!(%error, "the name service cannot be asked");
            None
        }
    }
}

/// A name with a dot in it is whole: nothing is put behind it. A name without one may be of the system's domain.
pub(crate) fn whole(name: &str) -> String {
    if name.contains('.') && !name.ends_with('.') { format!("{name}.") } else { name.to_owned() }
}
