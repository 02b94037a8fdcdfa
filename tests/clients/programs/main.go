// Reads a single answer, a batch and two refusals through a generated client.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	suite "example.org/suite"
)

func problemOf(err error) suite.Problem {
	var refused *suite.GenericOpenAPIError
	if !errors.As(err, &refused) {
		panic(err)
	}
	problem, ok := refused.Model().(suite.Problem)
	if !ok {
		panic(fmt.Sprintf("not read: %s", refused.Body()))
	}
	return problem
}

func main() {
	configuration := suite.NewConfiguration()
	configuration.Servers = suite.ServerConfigurations{{URL: os.Args[1]}}
	client := suite.NewAPIClient(configuration)
	ctx := context.Background()
	place := *suite.NewSubmittedPlace(120.2, 30.3, "wgs84")
	at := time.Date(2026, 5, 19, 10, 5, 33, 0, time.UTC)
	item := *suite.NewReportItemIn("r-1", "7", "part-01001", place, at)

	single, _, err := client.ReportsAPI.FileReport(ctx).ReportIn(*suite.NewReportIn("part-01001", place, at)).Execute()
	if err != nil {
		panic(err)
	}
	batch, _, err := client.ReportsAPI.FileReports(ctx).ReportsIn(*suite.NewReportsIn([]suite.ReportItemIn{item, item})).Execute()
	if err != nil {
		panic(err)
	}
	_, _, refused := client.CasesAPI.TakeSteps(ctx).StepsIn(*suite.NewStepsIn([]suite.StepItemIn{})).Execute()
	_, _, conflict := client.CasesAPI.ClaimCase(ctx, os.Args[2]).Execute()

	statuses := []string{}
	for _, one := range batch.Items {
		statuses = append(statuses, one.Status)
	}
	last := batch.Items[1].GetProblem()
	problem := problemOf(refused)
	state := problemOf(conflict)
	read := map[string]any{
		"single": single.Status,
		"batch":  statuses,
		"item":   last.Code,
		"code":   problem.Code,
		"field":  problem.Errors[0].GetField(),
		"state":  state.GetState(),
	}
	printed, _ := json.Marshal(read)
	fmt.Println(string(printed))
}
