package org.example;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.math.BigDecimal;
import java.time.OffsetDateTime;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import org.example.api.CasesApi;
import org.example.api.ReportsApi;
import org.example.model.Problem;
import org.example.model.ReportIn;
import org.example.model.ReportItemIn;
import org.example.model.ReportsIn;
import org.example.model.ReportsOut;
import org.example.model.StepsIn;
import org.example.model.SubmittedPlace;

/** Reads a single answer, a batch and two refusals through a generated client. */
public class Main {
  interface Call {
    void run() throws ApiException;
  }

  static Problem problemOf(ObjectMapper mapper, Call call) throws Exception {
    try {
      call.run();
    } catch (ApiException refused) {
      return mapper.readValue(refused.getResponseBody(), Problem.class);
    }
    throw new IllegalStateException("not refused");
  }

  public static void main(String[] arguments) throws Exception {
    ApiClient client = new ApiClient();
    client.updateBaseUri(arguments[0]);
    ObjectMapper mapper = client.getObjectMapper();
    ReportsApi reports = new ReportsApi(client);
    CasesApi cases = new CasesApi(client);
    SubmittedPlace place =
        new SubmittedPlace().lng(new BigDecimal("120.2")).lat(new BigDecimal("30.3")).datum(SubmittedPlace.DatumEnum.WGS84);
    OffsetDateTime at = OffsetDateTime.parse("2026-05-19T10:05:33Z");
    ReportItemIn item =
        new ReportItemIn().externalId("r-1").rider("7").kind("part-01001").place(place).occurredAt(at);

    Map<String, Object> read = new LinkedHashMap<>();
    read.put("single", reports.fileReport(
        new ReportIn().kind("part-01001").place(place).occurredAt(at), null, null, null, null).getStatus());
    ReportsOut batch = reports.fileReports(new ReportsIn().items(List.of(item, item)), null);
    read.put("batch", batch.getItems().stream().map(one -> one.getStatus().getValue()).toList());
    read.put("item", batch.getItems().get(1).getProblem().getCode());
    Problem refused = problemOf(mapper, () -> cases.takeSteps(new StepsIn().items(List.of())));
    read.put("code", refused.getCode());
    read.put("field", refused.getErrors().get(0).getField());
    Problem conflict = problemOf(mapper, () -> cases.claimCase(UUID.fromString(arguments[1]), null));
    read.put("state", conflict.getState());
    System.out.println(mapper.writeValueAsString(read));
  }
}
