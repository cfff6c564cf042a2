//! Normalised services (PS3.7 10.1): a request about one SOP instance, and notifications that come back.

use kluis_dicom::{Phi, Uid};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Answer, Association, Failure};
use crate::{
    command::{CommandField, CommandSet, NO_DATA_SET, Status, element},
    driver::How,
};

/// One request of a normalised service.
#[derive(Debug, Clone)]
pub struct Normalized<'a> {
    /// N-ACTION-RQ, N-CREATE-RQ, N-SET-RQ, N-GET-RQ, N-DELETE-RQ or N-EVENT-REPORT-RQ.
    pub field: CommandField,
    /// SOP class of the instance; that of the context where none is told.
    pub sop_class: Option<Uid>,
    /// The SOP instance; an N-CREATE may leave it to the provider.
    pub sop_instance: Option<Uid>,
    /// Action Type ID or Event Type ID.
    pub kind: Option<u16>,
    /// The data set, in the transfer syntax of the context.
    pub data_set: Option<&'a [u8]>,
}

/// An N-EVENT-REPORT-RQ that came and was answered with success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventReport {
    pub(super) context_id: u8,
    pub(super) message_id: u16,
    /// Affected SOP Class UID.
    pub sop_class: Option<Uid>,
    /// Affected SOP Instance UID.
    pub sop_instance: Option<Uid>,
    /// Event Type ID.
    pub event_type: Option<u16>,
    /// Its data set, in the transfer syntax of its context.
    pub data_set: Option<Phi<Vec<u8>>>,
}

impl EventReport {
    /// Number of the presentation context that it came in.
    #[must_use]
    pub fn context_id(&self) -> u8 {
        self.context_id
    }

    pub(super) fn response(&self, status: Status) -> CommandSet {
        let mut set = CommandSet::default();
        if let Some(uid) = &self.sop_class {
            set.set_uid(element::AFFECTED_SOP_CLASS_UID, uid);
        }
        set.set_us(element::COMMAND_FIELD, CommandField::N_EVENT_REPORT_RQ.response().0);
        set.set_us(element::MESSAGE_ID_BEING_RESPONDED_TO, self.message_id);
        set.set_us(element::DATA_SET_TYPE, NO_DATA_SET);
        set.set_us(element::STATUS, status.0);
        if let Some(uid) = &self.sop_instance {
            set.set_uid(element::AFFECTED_SOP_INSTANCE_UID, uid);
        }
        if let Some(kind) = self.event_type {
            set.set_us(element::EVENT_TYPE_ID, kind);
        }
        set
    }
}

impl<S> Association<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    /// Sends a request and waits for its response; with its data set, where it has one.
    ///
    /// # Errors
    /// [`Failure`]
    pub async fn normalized(
        &mut self,
        context_id: u8,
        request: &Normalized<'_>,
    ) -> Result<(Answer, Option<Phi<Vec<u8>>>), Failure> {
        let of_context = self.sop_class_of(context_id)?;
        let message_id = self.next_message_id();
        let command = request.command(message_id, &of_context);
        let asked = async {
            self.send(context_id, &command, request.data_set).await?;
            let (_, answer, data_set) = self.response(request.field, message_id).await?;
            Ok::<_, How>((answer, data_set))
        };
        match asked.await {
            Ok(answered) => Ok(answered),
            Err(how) => Err(self.given_up(how).await),
        }
    }

    /// Waits for the next notification of the peer, as long as it may be silent.
    ///
    /// # Errors
    /// [`Failure`]
    pub async fn event(&mut self) -> Result<EventReport, Failure> {
        while self.events.is_empty() {
            let notified = async {
                let incoming = self.incoming().await?;
                self.notified(incoming).await
            };
            if let Err(how) = notified.await {
                return Err(self.given_up(how).await);
            }
        }
        Ok(self.events.remove(0))
    }
}

impl Normalized<'_> {
    /// N-CREATE and N-EVENT-REPORT name what is affected, the others what is requested (PS3.7 10.3).
    fn command(&self, message_id: u16, of_context: &Uid) -> CommandSet {
        let mut set = CommandSet::default();
        let is_affected = matches!(self.field, CommandField::N_CREATE_RQ | CommandField::N_EVENT_REPORT_RQ);
        let (class, instance) = match is_affected {
            true => (element::AFFECTED_SOP_CLASS_UID, element::AFFECTED_SOP_INSTANCE_UID),
            false => (element::REQUESTED_SOP_CLASS_UID, element::REQUESTED_SOP_INSTANCE_UID),
        };
        set.set_uid(class, self.sop_class.as_ref().unwrap_or(of_context));
        set.set_us(element::COMMAND_FIELD, self.field.0);
        set.set_us(element::MESSAGE_ID, message_id);
        set.set_us(element::DATA_SET_TYPE, if self.data_set.is_some() { 1 } else { NO_DATA_SET });
        if let Some(uid) = &self.sop_instance {
            set.set_uid(instance, uid);
        }
        match self.field {
            CommandField::N_ACTION_RQ => set.set_us(element::ACTION_TYPE_ID, self.kind.unwrap_or(1)),
            CommandField::N_EVENT_REPORT_RQ => set.set_us(element::EVENT_TYPE_ID, self.kind.unwrap_or(1)),
            _ => {}
        }
        set
    }
}
