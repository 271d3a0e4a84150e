#include "connect.hpp"

#include <nats/nats.h>

#include <algorithm>

namespace weir::nats {
namespace {
constexpr std::int64_t kConnectMs = 2'000, kWriteMs = 2'000;
}

void OptionsCloser::operator()(natsOptions* options) const { natsOptions_Destroy(options); }

std::string last_error(int status) {
  natsStatus last = NATS_OK;
  const char* detail = nats_GetLastError(&last);
  std::string why = detail != nullptr && *detail != '\0' && static_cast<int>(last) == status
                        ? detail
                        : natsStatus_GetText(static_cast<natsStatus>(status));
  // Where in cnats it was noticed.
  if (const auto end = why.find(": "); why.starts_with('(') && end != std::string::npos) why.erase(0, end + 2);
  return why;
}

Options make_options(const LinkConfig& config, const std::vector<std::string>& more, std::string& why) {
  natsOptions* raw = nullptr;
  if (natsOptions_Create(&raw) != NATS_OK) {
    why = "not enough memory";
    return nullptr;
  }
  Options options(raw);
  std::vector<const char*> servers;
  for (const auto& server : config.servers) servers.push_back(server.c_str());
  for (const auto& server : more)
    if (std::find(config.servers.begin(), config.servers.end(), server) == config.servers.end())
      servers.push_back(server.c_str());
  natsStatus status = NATS_OK;
  const auto set = [&](const char* of, natsStatus result) {
    if (status != NATS_OK || result == NATS_OK) return;
    status = result;
    why = of + (": " + last_error(result));
  };
  set("url", natsOptions_SetServers(raw, servers.data(), static_cast<int>(servers.size())));
  set("name", natsOptions_SetName(raw, config.name.c_str()));
  if (!config.user.empty()) set("user", natsOptions_SetUserInfo(raw, config.user.c_str(), config.password.c_str()));
  if (!config.token.empty()) set("token", natsOptions_SetToken(raw, config.token.c_str()));
  if (!config.credentials_file.empty())
    set("credentials", natsOptions_SetUserCredentialsFromFiles(raw, config.credentials_file.c_str(), nullptr));
  if (!config.nkey.empty())
    set("nkey", natsOptions_SetNKeyFromSeed(raw, config.nkey.c_str(), config.nkey_seed_file.c_str()));
  if (config.tls) {
    set("tls", natsOptions_SetSecure(raw, true));
    if (!config.ca_file.empty()) set("tls.ca", natsOptions_LoadCATrustedCertificates(raw, config.ca_file.c_str()));
    if (!config.certificate_file.empty())
      set("tls.certificate",
          natsOptions_LoadCertificatesChain(raw, config.certificate_file.c_str(), config.key_file.c_str()));
    if (!config.server_name.empty())
      set("tls.server_name", natsOptions_SetExpectedHostname(raw, config.server_name.c_str()));
  }
  set("ping", natsOptions_SetPingInterval(raw, config.ping_ms));
  (void)natsOptions_SetMaxPingsOut(raw, 2);
  (void)natsOptions_SetTimeout(raw, kConnectMs);
  (void)natsOptions_SetWriteDeadline(raw, kWriteMs);
  (void)natsOptions_SetAllowReconnect(raw, false);
  (void)natsOptions_SetFailRequestsOnDisconnect(raw, true);
  // One thread for all subscriptions: with one each, as is the default, thousands of subjects were thousands of them.
  (void)natsOptions_UseGlobalMessageDelivery(raw, true);
  return status == NATS_OK ? std::move(options) : nullptr;
}

}  // namespace weir::nats
