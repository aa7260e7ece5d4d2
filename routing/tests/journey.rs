//! Scenarios in virtual time: one call against one plan.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod journey {
    mod arbitrary;
    mod asks;
    mod bench;
    mod fallback;
    mod hand_off;
    mod limits;
    mod nodes;
    mod parts;
    mod prompts;
    mod queue;
    mod queue_nodes;
    mod scenarios;
}
