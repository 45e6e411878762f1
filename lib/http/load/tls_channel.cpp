#include "lib/http/load/tls_channel.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

namespace imgrec::load {
namespace {

std::string openssl_reason() {
  const unsigned long code = ERR_peek_last_error();
  ERR_clear_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  return reason != nullptr ? reason : "";
}

}  // namespace

Result<std::shared_ptr<TlsContext>> TlsContext::make(const std::string& ca_bundle) {
  SSL_CTX* const made = SSL_CTX_new(TLS_client_method());
  if (made == nullptr) return fail(ErrorKind::bug, "tls_failed", "OpenSSL cannot begin: " + openssl_reason() + ".");
  auto context = std::make_shared<TlsContext>(made);
  SSL_CTX_set_min_proto_version(made, TLS1_2_VERSION);
  SSL_CTX_set_verify(made, SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_mode(made, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  const int loaded = ca_bundle.empty() ? SSL_CTX_set_default_verify_paths(made)
                                       : SSL_CTX_load_verify_locations(made, ca_bundle.c_str(), nullptr);
  if (loaded != 1) {
    return fail(ErrorKind::invalid, "bad_ca_bundle",
                "The certificates of authorities cannot be read from " +
                    (ca_bundle.empty() ? "this system" : ca_bundle) + ": " + openssl_reason() + ".");
  }
  return context;
}

TlsContext::~TlsContext() {
  SSL_CTX_free(context_);
}

void TlsChannel::Free::operator()(ssl_st* ssl) const {
  SSL_free(ssl);
}

TlsChannel::TlsChannel(const TlsContext& context, int socket, const Target& target) : ssl_(SSL_new(context.get())) {
  if (ssl_ == nullptr) {
    trouble_ = "there is no memory for it";
    return;
  }
  SSL_set_fd(ssl_.get(), socket);
  SSL_set_connect_state(ssl_.get());
  // The subject's common name is no name of a server any more (RFC 9525, section 6.3).
  SSL_set_hostflags(ssl_.get(), X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
  // An address is verified as one, and is not told to the server as a name (RFC 6066, section 3).
  if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl_.get()), target.host.c_str()) != 1) {
    SSL_set1_host(ssl_.get(), target.host.c_str());
    SSL_set_tlsext_host_name(ssl_.get(), target.host.c_str());
  }
  ERR_clear_error();
}

Moved TlsChannel::moved(int outcome, std::size_t bytes) {
  if (outcome == 1) return {.bytes = bytes};
  switch (SSL_get_error(ssl_.get(), outcome)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE: return {};
    case SSL_ERROR_ZERO_RETURN: return {.over = true, .closed_orderly = true};
    case SSL_ERROR_SSL: {
      const long verified = SSL_get_verify_result(ssl_.get());
      const std::string reason = openssl_reason();
      trouble_ = verified == X509_V_OK
                     ? reason
                     : std::string("the certificate is not trusted, ") + X509_verify_cert_error_string(verified);
      return {.over = true};
    }
    default: return {.over = true};
  }
}

Moved TlsChannel::send(ByteView bytes) {
  if (ssl_ == nullptr || !trouble_.empty()) return {.over = true};
  ERR_clear_error();
  std::size_t written = 0;
  const int outcome = SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &written);
  return moved(outcome, written);
}

Moved TlsChannel::receive(char* into, std::size_t size) {
  if (ssl_ == nullptr || !trouble_.empty()) return {.over = true};
  ERR_clear_error();
  std::size_t got = 0;
  const int outcome = SSL_read_ex(ssl_.get(), into, size, &got);
  return moved(outcome, got);
}

}  // namespace imgrec::load
