//! The one mapping of what the archive says to DIMSE statuses (PS3.4 B.2.3, PS3.7 C).

use kluis_archive::{ArchiveError, Refused, StoreError};
use kluis_dicom::part10::Refusal;
use kluis_dimse::{Outcome, command::Status};

/// The status of a store that was not done. No patient data: the archive's errors have none, and only texts of our own
/// and those of the byte gate, which name tags and offsets, are sent.
pub(crate) fn store_failure(error: &StoreError) -> Outcome {
    match error {
        StoreError::Refused(refusal) => match refusal.as_ref() {
            Refusal::ObjectTooLarge { .. } => told(Status::OUT_OF_RESOURCES, refusal.to_string()),
            other => told(Status::CANNOT_UNDERSTAND, other.to_string()),
        },
        StoreError::Attributes(error) => told(Status::DATA_SET_DOES_NOT_MATCH, error.to_string()),
        StoreError::SopClassMismatch { .. } => {
            told(Status::DATA_SET_DOES_NOT_MATCH, "SOP Class UID differs from that of the request")
        }
        StoreError::SopInstanceMismatch { .. } => {
            told(Status::DATA_SET_DOES_NOT_MATCH, "SOP Instance UID differs from that of the request")
        }
        StoreError::StudyMismatch { .. } => {
            told(Status::DATA_SET_DOES_NOT_MATCH, "Study Instance UID differs from that of the request")
        }
        StoreError::Conflict { .. } => {
            told(Status::DUPLICATE_SOP_INSTANCE, "other bytes are known under this UID; kept aside")
        }
        StoreError::StorageFull => told(Status::OUT_OF_RESOURCES, "the store is full"),
        StoreError::Unavailable(cause) if matches!(**cause, ArchiveError::Busy) => {
            told(Status::OUT_OF_RESOURCES, "too much is under way; try again later")
        }
        StoreError::Unavailable(_) => told(Status::PROCESSING_FAILURE, "try again later"),
        _ => Status::PROCESSING_FAILURE.into(),
    }
}

/// The status of an act that the gate did not admit.
pub(crate) fn refused(refused: &Refused) -> Outcome {
    match refused {
        Refused::Denied(_) => Status::NOT_AUTHORIZED.into(),
        _ => told(Status::PROCESSING_FAILURE, "try again later"),
    }
}

pub(crate) fn told(status: Status, comment: impl Into<std::borrow::Cow<'static, str>>) -> Outcome {
    Outcome { status, comment: Some(comment.into()) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kluis_dicom::{
        Tag,
        attributes::{AttributesError, InstanceIds},
    };
    use kluis_policy::Denial;

    use super::*;

    fn ids() -> Box<InstanceIds> {
        let uid = || "1.2.3".parse().unwrap();
        Box::new(InstanceIds { study: uid(), series: uid(), sop_instance: uid(), sop_class: uid() })
    }

    #[test]
    fn b03_b04_b08_b10_b12_every_failure_has_its_status() {
        let refusal = |refusal| StoreError::Refused(Arc::new(refusal));
        for (error, status) in [
            (refusal(Refusal::NotDicom), 0xC000),
            (refusal(Refusal::NoElements), 0xC000),
            (refusal(Refusal::ObjectTooLarge { limit: 1 }), 0xA700),
            (StoreError::Attributes(Arc::new(AttributesError::MissingUid(Tag(0x0020, 0x000D)))), 0xA900),
            (StoreError::SopClassMismatch { ids: ids() }, 0xA900),
            (StoreError::SopInstanceMismatch { ids: ids() }, 0xA900),
            (StoreError::StudyMismatch { ids: ids() }, 0xA900),
            (StoreError::Conflict { ids: ids() }, 0x0111),
            (StoreError::StorageFull, 0xA700),
            (StoreError::Unavailable(Arc::new(ArchiveError::Busy)), 0xA700),
            (StoreError::Unavailable(Arc::new(ArchiveError::Stopped)), 0x0110),
        ] {
            let outcome = store_failure(&error);
            assert_eq!(outcome.status.0, status, "{error}");
            assert!(outcome.status.is_failure());
            let comment = outcome.comment.unwrap();
            assert!(!comment.contains("1.2.3"), "{comment}");
        }
    }

    #[test]
    fn b18_a_denied_act_is_0124() {
        assert_eq!(refused(&Refused::Denied(Denial::DeviceRight)), Status::NOT_AUTHORIZED.into());
        assert_eq!(refused(&Refused::Unavailable(ArchiveError::Stopped)).status, Status::PROCESSING_FAILURE);
    }
}
