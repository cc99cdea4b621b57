package packet

import "fieldgate/broker/mqtt"

// wantReason checks that a packet of 5.0 may carry the reason code [v5 table 2-6].
func (r *reader) wantReason(code mqtt.ReasonCode, mark string) {
	if r.err == nil && !mayCarry(r.kind, code) {
		r.fail(mqtt.ProtocolError, clause{v5: mark}, "reason code 0x%02X is not one of this packet", byte(code))
	}
}

func mayCarry(t Type, code mqtt.ReasonCode) bool {
	switch t {
	case CONNACK:
		return code == mqtt.Success || code.Failed() && code <= mqtt.ConnectionRateExceeded &&
			!oneOf(code, mqtt.ServerShuttingDown, mqtt.KeepAliveTimeout, mqtt.SessionTakenOver, mqtt.TopicFilterInvalid,
				mqtt.PacketIdentifierInUse, mqtt.PacketIdentifierNotFound, mqtt.ReceiveMaximumExceeded, mqtt.TopicAliasInvalid,
				mqtt.MessageRateTooHigh, mqtt.AdministrativeAction, mqtt.SharedSubscriptionsNotSupported)
	case PUBACK, PUBREC:
		return oneOf(code, mqtt.Success, mqtt.NoMatchingSubscribers, mqtt.UnspecifiedError, mqtt.ImplementationSpecificError,
			mqtt.NotAuthorized, mqtt.TopicNameInvalid, mqtt.PacketIdentifierInUse, mqtt.QuotaExceeded, mqtt.PayloadFormatInvalid)
	case PUBREL, PUBCOMP:
		return oneOf(code, mqtt.Success, mqtt.PacketIdentifierNotFound)
	case SUBACK:
		return oneOf(code, mqtt.GrantedQoS0, mqtt.GrantedQoS1, mqtt.GrantedQoS2, mqtt.UnspecifiedError,
			mqtt.ImplementationSpecificError, mqtt.NotAuthorized, mqtt.TopicFilterInvalid, mqtt.PacketIdentifierInUse,
			mqtt.QuotaExceeded, mqtt.SharedSubscriptionsNotSupported, mqtt.SubscriptionIdentifiersNotSupported,
			mqtt.WildcardSubscriptionsNotSupported)
	case UNSUBACK:
		return oneOf(code, mqtt.Success, mqtt.NoSubscriptionExisted, mqtt.UnspecifiedError, mqtt.ImplementationSpecificError,
			mqtt.NotAuthorized, mqtt.TopicFilterInvalid, mqtt.PacketIdentifierInUse)
	case DISCONNECT:
		return oneOf(code, mqtt.NormalDisconnection, mqtt.DisconnectWithWill) ||
			code.Failed() && code <= mqtt.WildcardSubscriptionsNotSupported &&
				!oneOf(code, mqtt.UnsupportedProtocolVersion, mqtt.ClientIdentifierNotValid, mqtt.BadUserNameOrPassword,
					mqtt.ServerUnavailable, mqtt.Banned, mqtt.PacketIdentifierInUse, mqtt.PacketIdentifierNotFound)
	case AUTH:
		return oneOf(code, mqtt.Success, mqtt.ContinueAuthentication, mqtt.ReAuthenticate)
	}
	return false
}

func oneOf(code mqtt.ReasonCode, list ...mqtt.ReasonCode) bool {
	for _, one := range list {
		if one == code {
			return true
		}
	}
	return false
}
