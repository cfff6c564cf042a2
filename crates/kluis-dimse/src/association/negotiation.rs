//! The acceptor's answer to an A-ASSOCIATE-RQ (PS3.8 7.1.1, PS3.7 D.3), as a pure function.

use std::collections::BTreeMap;

use kluis_dicom::{AeTitle, Uid};

use crate::{
    limits,
    pdu::{
        APPLICATION_CONTEXT, AssociateAc, AssociateRj, AssociateRq, AsynchronousOperations, ContextReply,
        ContextResult, ProposedContext, RoleSelection, UserInformation, reject_reason,
    },
};

/// What we accept.
#[derive(Debug, Clone)]
pub struct Acceptor {
    /// Our AE titles; any other called one is rejected.
    pub called: Vec<AeTitle>,
    /// Abstract syntaxes that we provide (we are SCP).
    pub provides: fn(&Uid) -> bool,
    /// Abstract syntaxes that we use in the same association (we are SCU, the requestor SCP), as in C-GET.
    pub uses: fn(&Uid) -> bool,
    /// Transfer syntaxes that we take for an abstract syntax.
    pub knows: fn(&Uid, &Uid) -> bool,
    /// Our implementation class UID.
    pub implementation_class_uid: Uid,
    /// Our implementation version name, at most 16 characters.
    pub implementation_version: String,
    /// The longest P-DATA-TF contents that we take, in bytes.
    pub maximum_length: u32,
}

/// A presentation context that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// SOP class.
    pub abstract_syntax: Uid,
    /// The one transfer syntax.
    pub transfer_syntax: Uid,
    /// Whether we may be its user: the requestor proposed to be provider, and we took the other side (PS3.7 D.3.3.4).
    pub we_may_use: bool,
}

/// What an association stands on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Negotiated {
    /// Calling AE title.
    pub calling: AeTitle,
    /// Called AE title.
    pub called: AeTitle,
    /// Accepted contexts by id.
    pub contexts: BTreeMap<u8, Context>,
    /// The longest P-DATA-TF contents that we send, in bytes.
    pub send_maximum: u32,
    /// The answer.
    pub reply: AssociateAc,
}

/// Answers a request. Who the peer is has not been looked at yet.
///
/// # Errors
/// The rejection: protocol version, application context, called AE title, or a calling AE title that is none
/// (PS3.8 Table 9-21).
pub fn negotiate(acceptor: &Acceptor, rq: &AssociateRq) -> Result<Negotiated, AssociateRj> {
    if rq.protocol_version & 1 == 0 {
        return Err(reject_reason::PROTOCOL_VERSION);
    }
    if rq.application_context.as_ref().is_none_or(|name| name.as_str() != APPLICATION_CONTEXT) {
        return Err(reject_reason::APPLICATION_CONTEXT);
    }
    let called =
        ae_title(&rq.called_ae).filter(|called| acceptor.called.contains(called)).ok_or(reject_reason::CALLED_AE)?;
    let calling = ae_title(&rq.calling_ae).ok_or(reject_reason::CALLING_AE)?;

    let mut contexts = BTreeMap::new();
    let mut replies = Vec::with_capacity(rq.contexts.len());
    for proposed in &rq.contexts {
        let (reply, accepted) = answer(acceptor, proposed, &rq.user.roles);
        contexts.extend(accepted.map(|context| (proposed.id, context)));
        replies.push(reply);
    }
    Ok(Negotiated {
        calling,
        called,
        contexts,
        send_maximum: send_maximum(rq.user.maximum_length),
        reply: AssociateAc {
            protocol_version: 1,
            called_ae: rq.called_ae,
            calling_ae: rq.calling_ae,
            reserved: rq.reserved,
            application_context: rq.application_context.clone(),
            contexts: replies,
            user: user_information(acceptor, rq),
        },
    })
}

fn answer(acceptor: &Acceptor, proposed: &ProposedContext, roles: &[RoleSelection]) -> (ContextReply, Option<Context>) {
    let reply = |result, transfer_syntax: Option<&Uid>| ContextReply {
        id: proposed.id,
        result,
        // without meaning in a refusal, but the sub-item has to be there (PS3.8 9.3.3.2)
        transfer_syntax: transfer_syntax.or(proposed.transfer_syntaxes.first()).cloned(),
    };
    let Some(abstract_syntax) =
        proposed.abstract_syntax.as_ref().filter(|uid| (acceptor.provides)(uid) || (acceptor.uses)(uid))
    else {
        return (reply(ContextResult::AbstractSyntaxNotSupported, None), None);
    };
    let Some(transfer_syntax) = proposed.transfer_syntaxes.iter().find(|uid| (acceptor.knows)(abstract_syntax, uid))
    else {
        return (reply(ContextResult::TransferSyntaxesNotSupported, None), None);
    };
    let takes = |role: &RoleSelection| role.is_scp && role.sop_class == *abstract_syntax;
    let context = Context {
        abstract_syntax: abstract_syntax.clone(),
        transfer_syntax: transfer_syntax.clone(),
        we_may_use: (acceptor.uses)(abstract_syntax) && roles.iter().any(takes),
    };
    (reply(ContextResult::Acceptance, Some(transfer_syntax)), Some(context))
}

fn user_information(acceptor: &Acceptor, rq: &AssociateRq) -> UserInformation {
    UserInformation {
        maximum_length: Some(acceptor.maximum_length),
        implementation_class_uid: Some(acceptor.implementation_class_uid.clone()),
        implementation_version: Some(acceptor.implementation_version.bytes().take(16).collect()),
        // one operation at a time either way; only answered where it was asked (PS3.7 D.3.3.3)
        asynchronous_operations: rq
            .user
            .asynchronous_operations
            .map(|_| AsynchronousOperations { invoked: 1, performed: 1 }),
        roles: rq.user.roles.iter().map(|role| role_reply(acceptor, role)).collect(),
        // extended negotiation that is not answered is not supported (PS3.7 D.3.3.5)
        ..UserInformation::default()
    }
}

/// A role is given only where it was proposed and we take the other side of it (PS3.7 D.3.3.4).
fn role_reply(acceptor: &Acceptor, role: &RoleSelection) -> RoleSelection {
    RoleSelection {
        sop_class: role.sop_class.clone(),
        is_scu: role.is_scu && (acceptor.provides)(&role.sop_class),
        is_scp: role.is_scp && (acceptor.uses)(&role.sop_class),
    }
}

/// 0 and absent are no limit (PS3.8 D.1.1).
fn send_maximum(peer: Option<u32>) -> u32 {
    match peer {
        None | Some(0) => limits::PDU_SENT,
        Some(length) => length.min(limits::PDU_SENT),
    }
}

fn ae_title(field: &[u8; 16]) -> Option<AeTitle> {
    // some pad with NUL
    std::str::from_utf8(field).ok()?.trim_end_matches('\0').parse().ok()
}
