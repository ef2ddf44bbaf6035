#include "client/agent/health.h"

#include <curl/curl.h>
#include <stdio.h>

AUTO_POINTER(CURL, curl_easy_cleanup)

static void list_auto(struct curl_slist **list)
{
    curl_slist_free_all(*list);
}

enum { PATIENCE_SECONDS = 5, URL_SIZE = 512 };

static size_t body_drop(char *data, size_t size, size_t count, void *argument)
{
    (void)data, (void)argument;
    return size * count;
}

static struct curl_blob blob(struct span pem)
{
    return (struct curl_blob){(void *)(uintptr_t)pem.data, pem.size, CURL_BLOB_COPY};
}

static void identity_set(CURL *curl, const struct health_request *request)
{
    struct curl_blob bundle = blob(request->bundle), certificate = blob(request->certificate), key = blob(request->key);
    curl_easy_setopt(curl, CURLOPT_CAINFO_BLOB, &bundle);
    curl_easy_setopt(curl, CURLOPT_CAPATH, NULL);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, request->named ? 2L : 0L);
    if (certificate.len == 0)
        return;
    curl_easy_setopt(curl, CURLOPT_SSLCERT_BLOB, &certificate);
    curl_easy_setopt(curl, CURLOPT_SSLKEY_BLOB, &key);
}

enum err health_ask(const struct health_request *request, struct fault *f)
{
    char url[URL_SIZE], at[URL_SIZE], error[CURL_ERROR_SIZE] = "";
    long status = 0;
    CLEANUP(list_auto) struct curl_slist *instead = NULL;
    CLEANUP(CURL_auto) CURL *curl = curl_easy_init();
    if (!curl)
        return fault_no_memory(f);
    snprintf(url, sizeof url, "https://%s%s", request->endpoint, request->path);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)PATIENCE_SECONDS);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, body_drop);
    identity_set(curl, request);
    snprintf(at, sizeof at, "::%s", request->at ? request->at : "");
    if (request->at && !(instead = curl_slist_append(NULL, at)))
        return fault_no_memory(f);
    curl_easy_setopt(curl, CURLOPT_CONNECT_TO, instead);
    CURLcode result = curl_easy_perform(curl);
    if (result != CURLE_OK)
        return fault_set(f, result == CURLE_PEER_FAILED_VERIFICATION ? CODE_UNTRUSTED : CODE_UNREACHABLE,
                         "no answer from %s%s%s: %s", url, request->at ? " at " : "", request->at ? request->at : "",
                         error[0] ? error : curl_easy_strerror(result));
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    return status == 200 || (request->named && status > 0)
               ? OK
               : fault_set(f, CODE_UNREACHABLE, "%s answers with HTTP status %ld", url, status);
}
