#include "protocol/deflate_offer.hpp"

#include <gtest/gtest.h>

namespace weir {
namespace {

const std::string kAgreed = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

std::string answer(std::string_view offers) {
  const auto terms = accept_deflate(offers);
  return terms ? terms->answer : "";
}

TEST(DeflateOfferTest, WhatClientsReallyOffer) {
  for (const char* offers : {
           "permessage-deflate",                                                          // Firefox, OkHttp
           "permessage-deflate; client_max_window_bits",                                  // Chromium, ws, websockets
           "permessage-deflate; server_no_context_takeover; client_no_context_takeover",  // gorilla
           "permessage-deflate; client_no_context_takeover; client_max_window_bits, permessage-deflate",
           "permessage-deflate, permessage-deflate; client_max_window_bits",
       }) {
    EXPECT_EQ(answer(offers), kAgreed) << offers;
    EXPECT_EQ(accept_deflate(offers)->window_bits, 15U);
  }
}

TEST(DeflateOfferTest, SpacesCaseAndQuotesAreHttps) {
  for (const char* offers :
       {"PerMessage-Deflate", "permessage-deflate;client_max_window_bits=8",
        "\tpermessage-deflate ;\tclient_max_window_bits = 8 ", "permessage-deflate; Client_Max_Window_Bits=\"15\"",
        ",, ,permessage-deflate,,", "x; a=\"b, permessage-deflate; nonsense\", permessage-deflate",
        "x; a=\"\\\"\", permessage-deflate"})
    EXPECT_EQ(answer(offers), kAgreed) << offers;
}

TEST(DeflateOfferTest, AWindowThatTheClientNamesIsAnswered) {
  for (unsigned bits = 8; bits <= 15; ++bits) {
    const std::string n = std::to_string(bits);
    for (const std::string& offers :
         {"permessage-deflate; server_max_window_bits=" + n,
          "permessage-deflate; client_max_window_bits=" + n + "; server_max_window_bits=\"" + n + "\""}) {
      EXPECT_EQ(answer(offers), kAgreed + "; server_max_window_bits=" + n);
      EXPECT_EQ(accept_deflate(offers)->window_bits, bits);
    }
  }
}

TEST(DeflateOfferTest, TheFirstThatCanBeAcceptedIs) {
  EXPECT_EQ(answer("x-other, permessage-deflate"), kAgreed);
  EXPECT_EQ(answer("permessage-deflate; server_max_window_bits=7, permessage-deflate"), kAgreed);
  EXPECT_EQ(answer("permessage-deflate; nonsense, permessage-deflate; server_max_window_bits=9, permessage-deflate"),
            kAgreed + "; server_max_window_bits=9");
  EXPECT_EQ(answer("permessage-deflate, permessage-deflate; nonsense"), kAgreed);
}

TEST(DeflateOfferTest, WhatTheRfcDoesNotKnowIsNotAccepted) {
  for (const char* parameter : {"nonsense",
                                "server_max_window_bits",
                                "server_max_window_bits=",
                                "server_max_window_bits=7",
                                "server_max_window_bits=16",
                                "server_max_window_bits=010",
                                "server_max_window_bits=1x",
                                "server_max_window_bits=-9",
                                "server_max_window_bits=\"\"",
                                "client_max_window_bits=99",
                                "client_max_window_bits=",
                                "server_no_context_takeover=1",
                                "client_no_context_takeover=",
                                "server_no_context_takeover; server_no_context_takeover",
                                "client_no_context_takeover; client_no_context_takeover",
                                "client_max_window_bits; client_max_window_bits=9",
                                "server_max_window_bits=9; server_max_window_bits=9",
                                "=",
                                "=9",
                                "\"client_max_window_bits\"",
                                "; client_max_window_bits"})
    EXPECT_EQ(answer("permessage-deflate; " + std::string(parameter)), "") << parameter;
  for (const char* offers :
       {"", " ", ",", "x-other", "permessage-deflates", "permessage deflate", ";;,=", "\"", "\\", "\"\\"})
    EXPECT_EQ(answer(offers), "") << offers;
}

}  // namespace
}  // namespace weir
