-- Requests for /cached/1 to /cached/10000 with Zipf's popularity, exponent 0.9.
-- The sequence is drawn in advance and is the same in every run. The argument is a number: where a run
-- starts in the sequence. If every run used the same part, the hit ratio would be too high.

local objects, requests, exponent = 10000, 400000, 0.9
local threads = 0

function setup(thread)
    thread:set("at", threads * 7919)
    threads = threads + 1
end

function init(arguments)
    at = at + tonumber(arguments[1] or 0)
    math.randomseed(1)
    local texts, sums, sum = {}, {}, 0
    for rank = 1, objects do
        texts[rank] = wrk.format("GET", "/cached/" .. rank)
        sum = sum + rank ^ -exponent
        sums[rank] = sum
    end
    drawn = {}
    for number = 1, requests do
        local chance, low, high = math.random() * sum, 1, objects
        while low < high do
            local middle = math.floor((low + high) / 2)
            if sums[middle] < chance then low = middle + 1 else high = middle end
        end
        drawn[number] = texts[low]
    end
end

function request()
    at = at % requests + 1
    return drawn[at]
end
