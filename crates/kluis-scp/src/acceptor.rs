//! What is accepted in negotiation: the SOP classes of [`SERVICES`], every transfer syntax that we know (conformance
//! B13: stored as sent).

use kluis_dicom::{
    AeTitle, Uid, implementation,
    sop_class::{self, SopClassKind},
    transfer_syntax,
};
use kluis_dimse::{association::Acceptor, limits};

use crate::{SERVICES, answer};

pub(crate) fn acceptor(called: Vec<AeTitle>) -> Acceptor {
    Acceptor {
        called,
        provides,
        uses,
        knows,
        implementation_class_uid: implementation::class_uid(),
        implementation_version: implementation::VERSION_NAME.to_owned(),
        maximum_length: limits::MAXIMUM_LENGTH,
    }
}

/// Objects are stored in whatever syntax they come; messages without pixels need one of the three that are not.
fn knows(sop_class: &Uid, transfer_syntax: &Uid) -> bool {
    let is_storage = sop_class::lookup(sop_class.as_str()).is_some_and(|class| class.kind == SopClassKind::Storage);
    match is_storage {
        true => transfer_syntax::lookup(transfer_syntax.as_str()).is_some(),
        false => answer::encoding(transfer_syntax.as_str()).is_some(),
    }
}

/// The objects of a C-GET go to the peer on its own association.
fn uses(uid: &Uid) -> bool {
    sop_class::lookup(uid.as_str()).is_some_and(|class| class.kind == SopClassKind::Storage)
}

fn provides(uid: &Uid) -> bool {
    sop_class::lookup(uid.as_str()).is_some_and(|class| SERVICES.iter().any(|service| service.offers(class)))
}

#[cfg(test)]
mod tests {
    use kluis_dimse::{
        association::negotiate,
        pdu::{APPLICATION_CONTEXT, AssociateRq, ContextResult, ProposedContext, UserInformation},
    };

    use super::*;

    fn results(contexts: Vec<(String, Vec<&str>)>) -> Vec<(ContextResult, Option<String>)> {
        let rq = AssociateRq {
            protocol_version: 1,
            called_ae: *b"KLUIS           ",
            calling_ae: *b"MODALITY        ",
            reserved: [0; 32],
            application_context: APPLICATION_CONTEXT.parse().ok(),
            contexts: contexts
                .into_iter()
                .zip((0_u8..).map(|n| n * 2 + 1))
                .map(|((class, syntaxes), id)| ProposedContext {
                    id,
                    abstract_syntax: class.parse().ok(),
                    transfer_syntaxes: syntaxes.iter().map(|uid| uid.parse().unwrap()).collect(),
                })
                .collect(),
            user: UserInformation::default(),
        };
        let negotiated = negotiate(&acceptor(vec!["KLUIS".parse().unwrap()]), &rq).unwrap();
        let reply = |reply: &kluis_dimse::pdu::ContextReply| {
            (reply.result, reply.transfer_syntax.as_ref().map(|uid| uid.as_str().to_owned()))
        };
        negotiated.reply.contexts.iter().map(reply).collect()
    }

    #[test]
    fn b13_every_storage_class_and_every_syntax_is_accepted_as_sent() {
        let classes: Vec<_> = SERVICES.iter().flat_map(|service| service.sop_classes()).collect();
        for chunk in classes.chunks(128) {
            let contexts = chunk.iter().map(|class| (class.uid.to_owned(), vec!["1.2.840.10008.1.2"])).collect();
            assert!(results(contexts).iter().all(|(result, _)| *result == ContextResult::Acceptance));
        }
        for syntax in transfer_syntax::all() {
            let accepted = results(vec![("1.2.840.10008.5.1.4.1.1.2".to_owned(), vec!["1.2.3", syntax.uid])]);
            assert_eq!(accepted, [(ContextResult::Acceptance, Some(syntax.uid.to_owned()))]);
        }
    }

    #[test]
    fn b07_d16_classes_that_are_not_offered_are_refused() {
        // private, print, a non-patient object, composite instance root retrieval, retrieval without bulk data
        for class in [
            "1.3.12.2.1107.5.9.1",
            "1.2.840.10008.5.1.1.9",
            "1.2.840.10008.5.1.4.38.1",
            "1.2.840.10008.5.1.4.1.2.4.2",
            "1.2.840.10008.5.1.4.1.2.4.3",
            "1.2.840.10008.5.1.4.1.2.5.3",
        ] {
            let refused = results(vec![(class.to_owned(), vec!["1.2.840.10008.1.2"])]);
            assert_eq!(refused[0].0, ContextResult::AbstractSyntaxNotSupported, "{class}");
        }
    }
}
