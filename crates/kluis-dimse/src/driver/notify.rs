//! N-EVENT-REPORT to the peer between its requests (PS3.7 10.1.1): one at a time, its answer awaited while requests go on.

use tokio::io::{AsyncRead, AsyncWrite};

use super::{
    How,
    connection::{Arrived, Patience},
    outgoing::write_pdus,
    session::{Session, UnderWay},
};
use crate::{
    Notification, Services,
    association::Violation,
    command::{CommandField, Response, Status, event_command},
};

impl<S, V> Session<'_, S, V>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    V: Services,
{
    /// What comes from the peer; between two messages notifications are sent meanwhile.
    pub(super) async fn arrived(&mut self, patience: Patience) -> Result<Arrived, How> {
        loop {
            if !matches!(self.under_way, UnderWay::Nothing) || self.awaited_event.is_some() {
                return self.connection.next(patience).await;
            }
            let (connection, services) = (&mut self.connection, &mut *self.services);
            let notification = tokio::select! {
                biased;
                arrived = connection.next(patience) => return arrived,
                notification = services.next_event() => notification,
            };
            self.notify(notification).await?;
        }
    }

    async fn notify(&mut self, notification: Notification) -> Result<(), How> {
        let Notification { sop_class, sop_instance, event_type, transfer_syntax, data_set } = notification;
        let context = self
            .contexts
            .iter()
            .find(|(_, context)| context.abstract_syntax == sop_class && context.transfer_syntax == transfer_syntax);
        // whoever made it has seen a request in that context
        let Some((context_id, _)) = context else {
            self.services.event_answered(Status::PROCESSING_FAILURE);
            return Ok(());
        };
        self.own_message_id = self.own_message_id.wrapping_add(1).max(1);
        let command = event_command(self.own_message_id, &sop_class, &sop_instance, event_type);
        let (mut bytes, mut message) = (Vec::new(), Vec::new());
        command.write(&mut bytes);
        write_pdus(*context_id, true, &bytes, self.send_maximum, &mut message);
        write_pdus(*context_id, false, &data_set, self.send_maximum, &mut message);
        self.awaited_event = Some(self.own_message_id);
        self.connection.send(&message).await?;
        self.connection.message_done();
        Ok(())
    }

    /// A response came between two requests: it is to our notification, or to nothing.
    pub(super) fn event_answered(&mut self, response: Response) -> Result<(), How> {
        let is_ours = response.field == CommandField::N_EVENT_REPORT_RQ.response()
            && response.message_id.is_some()
            && response.message_id == self.awaited_event
            && !response.has_data_set;
        match response.status {
            Some(status) if is_ours => {
                self.awaited_event = None;
                self.services.event_answered(status);
                Ok(())
            }
            _ => Err(Violation::UnexpectedResponse(response.field.0).into()),
        }
    }
}
