//! Numbers of the customer's own SIP trunk: nothing can be asked of anybody, people tell what happens.

use std::collections::BTreeMap;

use vestibule_config::{
    carrier::{Purchase, Registration, Transfer},
    number::{Fee, NumberKind},
};
use vestibule_routing::address::E164;

use super::contract::{
    Asked, Bought, Carrier, Found, HeldNumber, NotDone, Offer, Progress, TransferProgress, Wanted, at_once,
};

/// The adapter.
pub(super) struct Manual;

impl Carrier for Manual {
    fn search<'a>(&'a self, _: &'a Wanted) -> Asked<'a, Vec<Offer>> {
        at_once(Err(NotDone::NotSupported(
            "Numbers of your own trunk cannot be searched: enter them, or import them from a CSV file.",
        )))
    }

    fn price<'a>(&'a self, _: &'a str, _: NumberKind) -> Asked<'a, Option<Fee>> {
        at_once(Ok(None))
    }

    fn buy<'a>(&'a self, _: &'a Purchase) -> Asked<'a, Bought> {
        at_once(Err(NotDone::NotSupported(
            "Numbers of your own trunk are not bought here: enter them, or import them from a CSV file.",
        )))
    }

    fn find<'a>(&'a self, _: &'a Purchase) -> Asked<'a, Found> {
        at_once(Ok(Found::Nothing))
    }

    fn point<'a>(&'a self, _: HeldNumber<'a>) -> Asked<'a, ()> {
        at_once(Ok(()))
    }

    fn release<'a>(&'a self, _: HeldNumber<'a>) -> Asked<'a, ()> {
        at_once(Ok(()))
    }

    fn register<'a>(&'a self, _: &'a Registration, _: &'a BTreeMap<E164, String>) -> Asked<'a, Progress> {
        at_once(Err(NotDone::NotSupported(
            "Register at your carrier, and tell what came of it by the number's registration events.",
        )))
    }

    fn transfer<'a>(&'a self, transfer: &'a Transfer) -> Asked<'a, TransferProgress> {
        let (order, state) = (transfer.order.clone(), transfer.state.clone());
        at_once(Ok(TransferProgress { order, state }))
    }

    fn test(&self) -> Asked<'_, String> {
        at_once(Ok("your own trunk".to_owned()))
    }
}
