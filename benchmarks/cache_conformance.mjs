// Runs the public suite against a cache and prints, as JSON, what the suite's own grader says of each test.
//   node cache_conformance.mjs FOLDER_OF_THE_SUITE URL_TO_ASK [PORT_OF_A_FORWARD_PROXY]
import { createRequire } from 'node:module'
import http from 'node:http'
import { pathToFileURL } from 'node:url'
import path from 'node:path'

const [folder, base, proxyPort] = process.argv.slice(2)
const load = file => import(pathToFileURL(path.join(folder, file)))
const { default: suites } = await load('tests/index.mjs')
const { runTests, getResults } = await load('client/runner.mjs')
const { determineTestResult } = await load('lib/display.mjs')
const fetch = createRequire(path.join(path.resolve(folder), 'cli.mjs'))('node-fetch')

// Asks a forward proxy: the whole URL is the target. RFC 9112, 3.2.2
class Forward extends http.Agent {
  addRequest (request, options) {
    request.path = base + request.path
    super.addRequest(request, { ...options, host: '127.0.0.1', port: proxyPort })
  }
}
const agent = proxyPort && new Forward()
const ask = agent ? (url, init) => fetch(url, { ...init, agent }) : fetch

await runTests(suites, ask, false, base)
const results = getResults()
const verdicts = {}
for (const suite of suites) {
  for (const test of suite.tests) {
    if (test.browser_only) continue
    const [, , verdict] = determineTestResult(suites, test.id, results)
    const detail = results[test.id] === true ? '' : String(results[test.id]?.[1])
    verdicts[test.id] = { kind: test.kind || 'required', verdict, detail }
  }
}
console.log(JSON.stringify(verdicts))
