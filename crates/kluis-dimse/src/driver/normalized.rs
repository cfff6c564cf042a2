//! Normalized services: the data set is gathered, the request handed over, and the response sent with what it carries
//! (PS3.7 10.1, 10.3).

use kluis_dicom::Phi;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{
    How,
    session::{Receiver, Session, UnderWay, comment},
};
use crate::{
    NormalizedRequest, NormalizedResponse, Outcome, Services,
    association::Violation,
    command::{CommandField, NormalizedCommand, NormalizedReply, Reply, Status},
};

impl<S, V> Session<'_, S, V>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    V: Services,
{
    /// The command has come; where a data set follows, it is waited for.
    pub(super) async fn normalized_begun(&mut self, context_id: u8, command: NormalizedCommand) -> Result<(), How> {
        if let Err(outcome) = self.check_normalized(context_id, &command) {
            return self.answer(context_id, command.request, outcome).await;
        }
        if !command.request.has_data_set {
            return self.normalized(context_id, command, None).await;
        }
        let request = command.request.clone();
        let receiver = Receiver::Normalized(command, Phi(Vec::new()));
        self.under_way = UnderWay::DataSet { context_id, request, receiver };
        Ok(())
    }

    /// What the command alone already says to be wrong.
    fn check_normalized(&self, context_id: u8, command: &NormalizedCommand) -> Result<(), Outcome> {
        let context = self.contexts.get(&context_id).ok_or(Status::PROCESSING_FAILURE)?;
        let NormalizedCommand { request, names_instance, kind, attributes } = command;
        if !self.services.offers(request.field, &context.abstract_syntax) {
            return Err(Status::UNRECOGNIZED_OPERATION.into());
        }
        let sop_class = request.sop_class.as_ref();
        if !sop_class.is_some_and(|sop_class| self.services.covers(&context.abstract_syntax, sop_class)) {
            let text = "SOP class is not that of the presentation context";
            return Err(comment(Status::NO_SUCH_SOP_CLASS, text));
        }
        let may_name_none = request.field == CommandField::N_CREATE_RQ && !names_instance;
        if request.sop_instance.is_none() && !may_name_none {
            return Err(comment(Status::INVALID_SOP_INSTANCE, "SOP Instance UID is missing or invalid"));
        }
        match request.field {
            CommandField::N_EVENT_REPORT_RQ if kind.is_none() => Err(Status::NO_SUCH_EVENT_TYPE.into()),
            CommandField::N_ACTION_RQ if kind.is_none() => Err(Status::NO_SUCH_ACTION.into()),
            CommandField::N_GET_RQ if attributes.is_none() => {
                Err(comment(Status::MISTYPED_ARGUMENT, "Attribute Identifier List is no list of tags"))
            }
            CommandField::N_GET_RQ | CommandField::N_DELETE_RQ if request.has_data_set => {
                Err(comment(Status::MISTYPED_ARGUMENT, "this operation has no data set"))
            }
            _ => Ok(()),
        }
    }

    pub(super) async fn normalized(
        &mut self,
        context_id: u8,
        command: NormalizedCommand,
        data_set: Option<Phi<Vec<u8>>>,
    ) -> Result<(), How> {
        let Some(context) = self.contexts.get(&context_id) else {
            return Err(Violation::ContextNotAccepted(context_id).into());
        };
        let NormalizedCommand { mut request, kind, attributes, .. } = command;
        let asked = NormalizedRequest {
            message_id: request.message_id,
            operation: request.field,
            service: context.abstract_syntax.clone(),
            sop_class: request.sop_class.clone().unwrap_or_else(|| context.abstract_syntax.clone()),
            sop_instance: request.sop_instance.clone(),
            kind,
            attributes: attributes.unwrap_or_default(),
            transfer_syntax: context.transfer_syntax.clone(),
            data_set,
        };
        let response = self.services.normalized(asked).await;
        let NormalizedResponse { outcome, sop_instance, error_id, offending, data_set } = response;
        request.sop_instance = request.sop_instance.or(sop_instance);
        let Outcome { status, comment } = outcome;
        // an empty data set has no fragment: there is none
        let data_set = data_set.map(|data_set| data_set.0).unwrap_or_default();
        let reply = Reply { request, status, comment, has_data_set: !data_set.is_empty(), counts: None };
        let reply = NormalizedReply { reply, kind, error_id, offending };
        let command_set = reply.command_set();
        self.last_message(context_id, &reply.reply, &command_set, &data_set).await
    }
}
