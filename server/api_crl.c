/* api_crl.c: the CRLs, for everybody: who checks a certificate has none of his own yet (ca/crl.h). */
#include <string.h>

#include "ca/base/encode.h"
#include "ca/crl.h"
#include "server/api.h"

/* How long a proxy may keep one. Who waits for a revocation asks with If-None-Match. */
enum { CRL_MAX_AGE_SECONDS = 60 };

static enum err format_read(const struct http_request *request, bool *ret_pem, struct fault *f)
{
    const char *format = http_query(request, "format");
    *ret_pem = format && strcmp(format, "pem") == 0;
    if (format && !*ret_pem && strcmp(format, "der") != 0)
        fault_reason(f, "format", "one of der, pem");
    return fault_if_reasons(f, CODE_INVALID, "the query is not valid");
}

static enum err answer_crl(struct app *app, const struct http_request *request, struct http_response *ret_response,
                           struct fault *f)
{
    bool pem = false;
    AUTO(crl_record) crl = {0};
    TRY(format_read(request, &pem, f));
    TRY(crl_get(app->ca, request->parameters[0], request->parameters[1], &crl, f));
    if (pem)
        pem_append(&ret_response->body, "X509 CRL", bytes_span(&crl.der));
    else
        bytes_append_span(&ret_response->body, bytes_span(&crl.der));
    TRY(bytes_check(&ret_response->body, f));
    ret_response->content_type = pem ? "application/x-pem-file" : "application/pkix-crl";
    ret_response->max_age_seconds = CRL_MAX_AGE_SECONDS;
    return etag_set(ret_response, f);
}

struct http_response api_authority_crl(struct app *app, const struct http_request *request)
{
    static const char *const query[] = {"format", NULL};
    return api_answer(answer_crl, query, app, request);
}
