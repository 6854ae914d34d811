"""The vocabulary: ONE table of every field of a study.

A field's name is ``<module>.<leaf>``: the module without ``Module``, with a few short names; ``xStruct.date`` is ``x`` and its other
leaves ``xType`` and so on; a few wrapping structs are dropped, any other prefixes its leaves without ``Info``; a name stops at the first
list, what is inside are items and attributes. ``leaves.name_by_rule`` is that rule in code; the table departs from it only for the core's
names. The leaves are those of the registry's own data structure (``/studies/metadata``, 342 of them); tests walk them all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from trialsync.model import By, Tier

if TYPE_CHECKING:
    from collections.abc import Mapping

HEADLINE, DETAIL, HOUSEKEEPING = Tier.HEADLINE, Tier.DETAIL, Tier.HOUSEKEEPING


@dataclass(frozen=True, slots=True)
class Items:
    """How the members of one list of objects are told apart, and what they hold.

    ``key`` names the attributes that make a member's key (``pmid|citation``: the first that is there). How a member whose key was edited
    is recognised is ``study.likeness``: ``weights`` says how much each attribute counts, ``support`` how much one counts where it agrees
    and no other member has it, ``needs`` what share of an attribute must agree (percent), ``hidden`` the attributes that say nothing where
    they are absent or match, ``often_absent`` those whose absence on one side counts half; members that have one ``twin`` attribute in
    common may always be one. A list without weights never pairs members whose keys differ. Changes of ``housekeeping`` attributes are of
    that tier, whatever the field's. ``names`` are those of all that a member holds, its own lists included.
    """

    key: tuple[str, ...]
    attributes: tuple[str, ...] = ()
    lists: Mapping[str, Items] = field(default_factory=lambda: MappingProxyType({}))
    weights: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    support: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    needs: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    hidden: Mapping[str, re.Pattern[str]] = field(default_factory=lambda: MappingProxyType({}))
    often_absent: frozenset[str] = frozenset()
    twin: str | None = None
    housekeeping: frozenset[str] = frozenset()
    by_registry: frozenset[str] = frozenset()
    names: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", frozenset((*self.attributes, *self.lists)))


@dataclass(frozen=True, slots=True)
class Field:
    """One named part of a study: its name, its path in the registry's JSON, and how its changes are read.

    ``by`` is the registry where nobody else can change the field, otherwise ``None``: then the posted date decides. ``attributes`` are the
    parts of a field that is one object. ``known`` is false for a leaf that the table does not have.
    """

    name: str
    path: str
    tier: Tier
    items: Items | None = None
    attributes: tuple[str, ...] = ()
    by: By | None = None
    core: bool = False
    known: bool = True


NOISE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "derivedSection.miscInfoModule.versionHolder": "the load's label: it changes on every study at every load",
    }
)
"""Leaves that are never a change, each with its reason."""


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# A list's weights decide what is one edited member and what is two: see study/likeness.py, where the rule and its thresholds are.
_ANONYMOUS: Final = re.compile(r"\b(?:research|investigat\w*|study|clinical|trial)\s+sites?\b|\blocal\s+institution\b", re.IGNORECASE)
"""What sponsors write for a facility that they do not name: Research Site, GSK Investigational Site, Local Institution - 0044."""

# Another person with the same office telephone is another person: most of the name must stand.
_CONTACTS = Items(
    ("name", "role"),
    _words("name role phone phoneExt email"),
    weights={"name": 4, "role": 1, "phone": 1, "email": 2},
    needs={"name": 60},
)
# The zip outweighs the city: where the name is hidden, one zip and another city are the registry's new spelling, one city and another zip
# are two sites.
_LOCATIONS = Items(
    ("facility", "city", "state", "country"),
    _words("facility status city state zip country geoPoint"),
    {"contacts": _CONTACTS},
    weights={"facility": 3, "city": 2, "state": 1, "zip": 3},
    support={"contacts": 3},
    hidden={"facility": _ANONYMOUS},
    often_absent=frozenset({"zip"}),
    housekeeping=frozenset({"contacts", "geoPoint"}),
    by_registry=frozenset({"geoPoint"}),
)
_ARMS = Items(
    ("label",),
    _words("label type description interventionNames"),
    weights={"label": 2, "type": 1, "description": 2, "interventionNames": 1},
    support={"description": 1, "interventionNames": 2},
)
_INTERVENTIONS = Items(
    ("type", "name"),
    _words("type name description armGroupLabels otherNames"),
    weights={"type": 1, "name": 3, "description": 2, "armGroupLabels": 1, "otherNames": 1},
)
_OUTCOMES = Items(("measure",), _words("measure description timeFrame"), weights={"measure": 2, "description": 1, "timeFrame": 1})
_OFFICIALS = Items(("name", "role"), _words("name affiliation role"), weights={"name": 4, "affiliation": 1, "role": 1}, needs={"name": 60})
_SPONSORS = Items(("name",), _words("name class"), weights={"name": 3, "class": 1}, needs={"name": 50})
_REFERENCES = Items(
    ("pmid|citation",),
    _words("pmid type citation"),
    {"retractions": Items(("pmid",), _words("pmid source"))},
    weights={"citation": 3, "pmid": 1, "type": 1},
    needs={"citation": 60},
)
_LINKS = Items(("url",), _words("label url"), weights={"label": 3, "url": 2})
_AVAIL_IPDS = Items(("type", "id", "url"), _words("id type url comment"), weights={"type": 2, "id": 3, "url": 3, "comment": 1})
_SECONDARY_IDS = Items(("type", "id"), _words("id type domain link"), weights={"id": 3, "type": 1, "domain": 1, "link": 1})
# A new file in place of one of the same sort is that document, replaced.
_DOCUMENTS = Items(
    ("typeAbbrev", "filename"),
    _words("typeAbbrev hasProtocol hasSap hasIcf label date uploadDate filename size"),
    weights={"typeAbbrev": 3, "filename": 2},
    housekeeping=frozenset({"size"}),
    by_registry=frozenset({"size"}),
)
_UNPOSTED = Items(("type", "date"), _words("type date dateUnknown"))
_VIOLATIONS = Items(("type", "creationDate"), _words("type description creationDate issuedDate releaseDate postedDate"))
_SUBMISSIONS = Items(("releaseDate",), _words("releaseDate unreleaseDate unreleaseDateUnknown resetDate mcpReleaseN"))
# The registry once shortened the ids of all its headings: the word decides.
_MESH = Items(("id",), _words("id term"), weights={"term": 2, "id": 1}, needs={"term": 100})
_BROWSE_LEAVES = Items(("id",), _words("id name asFound relevance"), weights={"name": 2, "id": 1}, needs={"name": 100})
_BROWSE_BRANCHES = Items(("abbrev",), _words("abbrev name"), weights={"name": 2, "abbrev": 1}, needs={"name": 100})

# Results. Numbers hang on a group's id, but the id only says where the group stands: a group inserted before the others moves all of them.
# So a group goes by its title, its numbers go with it (study/groups.py), and one that is retitled is known by its description or its id.
_GROUPS = Items(
    ("title|id",),
    _words("id title description"),
    weights={"title": 3, "description": 2, "id": 1},
    twin="id",
    housekeeping=frozenset({"id"}),
)
_DENOMS = Items(
    ("units",),
    _words("units"),
    {"counts": Items(("groupId",), _words("groupId value"))},
    weights={"units": 1, "counts": 3},
)
_MEASUREMENTS = Items(("groupId",), _words("groupId value spread lowerLimit upperLimit comment"))
_CATEGORIES = Items(("title",), _words("title"), {"measurements": _MEASUREMENTS}, weights={"title": 2, "measurements": 3})
_CLASSES = Items(("title",), _words("title"), {"denoms": _DENOMS, "categories": _CATEGORIES}, weights={"title": 2, "categories": 3})
_ANALYSES = Items(
    ("groupIds", "statisticalMethod", "paramType"),
    _words(
        "paramType paramValue dispersionType dispersionValue statisticalMethod statisticalComment pValue pValueComment ciNumSides "
        "ciPctValue ciLowerLimit ciUpperLimit ciLowerLimitComment ciUpperLimitComment estimateComment testedNonInferiority "
        "nonInferiorityType nonInferiorityComment otherAnalysisDescription groupDescription groupIds"
    ),
    weights={
        "statisticalMethod": 2,
        "paramType": 2,
        "paramValue": 2,
        "pValue": 2,
        "ciLowerLimit": 1,
        "ciUpperLimit": 1,
        "groupDescription": 2,
    },
    needs={"groupIds": 100},
)
_PERIODS = Items(
    ("title",),
    _words("title"),
    {
        "milestones": Items(
            ("type",),
            _words("type comment"),
            {"achievements": Items(("groupId",), _words("groupId comment numSubjects numUnits"))},
            weights={"type": 2, "achievements": 3},
        ),
        "dropWithdraws": Items(
            ("type",),
            _words("type comment"),
            {"reasons": Items(("groupId",), _words("groupId comment numSubjects"))},
            weights={"type": 2, "reasons": 3},
        ),
    },
    weights={"title": 2, "milestones": 3},
)
_BASELINE_MEASURES = Items(
    ("title",),
    _words("title description populationDescription paramType dispersionType unitOfMeasure calculatePct denomUnitsSelected"),
    {"denoms": _DENOMS, "classes": _CLASSES},
    weights={"title": 2, "classes": 3, "unitOfMeasure": 1, "paramType": 1},
)
_OUTCOME_MEASURES = Items(
    ("type", "title"),
    _words(
        "type title description populationDescription reportingStatus anticipatedPostingDate paramType dispersionType unitOfMeasure "
        "calculatePct timeFrame typeUnitsAnalyzed denomUnitsSelected"
    ),
    {"groups": _GROUPS, "denoms": _DENOMS, "classes": _CLASSES, "analyses": _ANALYSES},
    weights={"type": 1, "title": 3, "description": 1, "timeFrame": 1, "classes": 3},
)
_EVENT_GROUPS = Items(
    ("title|id",),
    _words("id title description deathsNumAffected deathsNumAtRisk seriousNumAffected seriousNumAtRisk otherNumAffected otherNumAtRisk"),
    weights={"title": 3, "description": 2, "id": 1},
    twin="id",
    housekeeping=frozenset({"id"}),
)
_ADVERSE_EVENTS = Items(
    ("term", "organSystem"),
    _words("term organSystem sourceVocabulary assessmentType notes"),
    {"stats": Items(("groupId",), _words("groupId numEvents numAffected numAtRisk"))},
    weights={"term": 3, "organSystem": 1, "stats": 1},
    needs={"term": 50},
)

FIELDS: Final[tuple[Field, ...]] = (
    # The core, in the order of the study page.
    Field("status.overallStatus", "protocolSection.statusModule.overallStatus", HEADLINE, core=True),
    Field("status.primaryCompletionDate", "protocolSection.statusModule.primaryCompletionDateStruct.date", HEADLINE, core=True),
    Field("status.completionDate", "protocolSection.statusModule.completionDateStruct.date", HEADLINE, core=True),
    Field("status.lastUpdatePostDate", "protocolSection.statusModule.lastUpdatePostDateStruct.date", HOUSEKEEPING, core=True),
    Field("design.phases", "protocolSection.designModule.phases", HEADLINE, core=True),
    Field("design.enrollmentCount", "protocolSection.designModule.enrollmentInfo.count", HEADLINE, core=True),
    Field("eligibility.criteria", "protocolSection.eligibilityModule.eligibilityCriteria", HEADLINE, core=True),
    Field("eligibility.minAge", "protocolSection.eligibilityModule.minimumAge", HEADLINE, core=True),
    Field("eligibility.maxAge", "protocolSection.eligibilityModule.maximumAge", HEADLINE, core=True),
    Field("eligibility.sex", "protocolSection.eligibilityModule.sex", HEADLINE, core=True),
    Field("outcomes.primary", "protocolSection.outcomesModule.primaryOutcomes", HEADLINE, items=_OUTCOMES, core=True),
    Field("outcomes.secondary", "protocolSection.outcomesModule.secondaryOutcomes", HEADLINE, items=_OUTCOMES, core=True),
    Field("armsInterventions.arms", "protocolSection.armsInterventionsModule.armGroups", HEADLINE, items=_ARMS, core=True),
    Field(
        "armsInterventions.interventions",
        "protocolSection.armsInterventionsModule.interventions",
        HEADLINE,
        items=_INTERVENTIONS,
        core=True,
    ),
    Field("sponsor.lead", "protocolSection.sponsorCollaboratorsModule.leadSponsor", HEADLINE, attributes=("name", "class"), core=True),
    Field("results.hasResults", "hasResults", HEADLINE, core=True),
    Field("locations", "protocolSection.contactsLocationsModule.locations", HEADLINE, items=_LOCATIONS, core=True),
    # identification
    Field("identification.nctId", "protocolSection.identificationModule.nctId", DETAIL),
    Field("identification.nctIdAliases", "protocolSection.identificationModule.nctIdAliases", DETAIL),
    Field("identification.orgStudyId", "protocolSection.identificationModule.orgStudyIdInfo.id", DETAIL),
    Field("identification.orgStudyIdType", "protocolSection.identificationModule.orgStudyIdInfo.type", DETAIL),
    Field("identification.orgStudyIdLink", "protocolSection.identificationModule.orgStudyIdInfo.link", DETAIL),
    Field("identification.secondaryIdInfos", "protocolSection.identificationModule.secondaryIdInfos", DETAIL, items=_SECONDARY_IDS),
    Field("identification.briefTitle", "protocolSection.identificationModule.briefTitle", HEADLINE),
    Field("identification.officialTitle", "protocolSection.identificationModule.officialTitle", HEADLINE),
    Field("identification.acronym", "protocolSection.identificationModule.acronym", DETAIL),
    Field("identification.organizationFullName", "protocolSection.identificationModule.organization.fullName", DETAIL),
    Field("identification.organizationClass", "protocolSection.identificationModule.organization.class", DETAIL),
    # status
    Field("status.statusVerifiedDate", "protocolSection.statusModule.statusVerifiedDate", HOUSEKEEPING),
    Field("status.lastKnownStatus", "protocolSection.statusModule.lastKnownStatus", DETAIL),
    Field("status.delayedPosting", "protocolSection.statusModule.delayedPosting", DETAIL),
    Field("status.whyStopped", "protocolSection.statusModule.whyStopped", HEADLINE),
    Field("status.expandedAccessHasExpandedAccess", "protocolSection.statusModule.expandedAccessInfo.hasExpandedAccess", DETAIL),
    Field("status.expandedAccessNctId", "protocolSection.statusModule.expandedAccessInfo.nctId", DETAIL),
    Field("status.expandedAccessStatusForNctId", "protocolSection.statusModule.expandedAccessInfo.statusForNctId", DETAIL),
    Field("status.startDate", "protocolSection.statusModule.startDateStruct.date", HEADLINE),
    Field("status.startDateType", "protocolSection.statusModule.startDateStruct.type", DETAIL),
    Field("status.primaryCompletionDateType", "protocolSection.statusModule.primaryCompletionDateStruct.type", DETAIL),
    Field("status.completionDateType", "protocolSection.statusModule.completionDateStruct.type", DETAIL),
    Field("status.studyFirstSubmitDate", "protocolSection.statusModule.studyFirstSubmitDate", HOUSEKEEPING),
    Field("status.studyFirstSubmitQcDate", "protocolSection.statusModule.studyFirstSubmitQcDate", HOUSEKEEPING),
    Field("status.studyFirstPostDate", "protocolSection.statusModule.studyFirstPostDateStruct.date", HOUSEKEEPING),
    Field("status.studyFirstPostDateType", "protocolSection.statusModule.studyFirstPostDateStruct.type", HOUSEKEEPING),
    Field("status.resultsWaived", "protocolSection.statusModule.resultsWaived", DETAIL),
    Field("status.resultsFirstSubmitDate", "protocolSection.statusModule.resultsFirstSubmitDate", HOUSEKEEPING),
    Field("status.resultsFirstSubmitQcDate", "protocolSection.statusModule.resultsFirstSubmitQcDate", HOUSEKEEPING),
    Field("status.resultsFirstPostDate", "protocolSection.statusModule.resultsFirstPostDateStruct.date", HEADLINE),
    Field("status.resultsFirstPostDateType", "protocolSection.statusModule.resultsFirstPostDateStruct.type", HOUSEKEEPING),
    Field("status.dispFirstSubmitDate", "protocolSection.statusModule.dispFirstSubmitDate", HOUSEKEEPING),
    Field("status.dispFirstSubmitQcDate", "protocolSection.statusModule.dispFirstSubmitQcDate", HOUSEKEEPING),
    Field("status.dispFirstPostDate", "protocolSection.statusModule.dispFirstPostDateStruct.date", HOUSEKEEPING),
    Field("status.dispFirstPostDateType", "protocolSection.statusModule.dispFirstPostDateStruct.type", HOUSEKEEPING),
    Field("status.lastUpdateSubmitDate", "protocolSection.statusModule.lastUpdateSubmitDate", HOUSEKEEPING),
    Field("status.lastUpdatePostDateType", "protocolSection.statusModule.lastUpdatePostDateStruct.type", HOUSEKEEPING),
    # sponsor
    Field("sponsor.responsiblePartyType", "protocolSection.sponsorCollaboratorsModule.responsibleParty.type", DETAIL),
    Field(
        "sponsor.responsiblePartyInvestigatorFullName",
        "protocolSection.sponsorCollaboratorsModule.responsibleParty.investigatorFullName",
        DETAIL,
    ),
    Field(
        "sponsor.responsiblePartyInvestigatorTitle", "protocolSection.sponsorCollaboratorsModule.responsibleParty.investigatorTitle", DETAIL
    ),
    Field(
        "sponsor.responsiblePartyInvestigatorAffiliation",
        "protocolSection.sponsorCollaboratorsModule.responsibleParty.investigatorAffiliation",
        DETAIL,
    ),
    Field("sponsor.responsiblePartyOldNameTitle", "protocolSection.sponsorCollaboratorsModule.responsibleParty.oldNameTitle", DETAIL),
    Field("sponsor.responsiblePartyOldOrganization", "protocolSection.sponsorCollaboratorsModule.responsibleParty.oldOrganization", DETAIL),
    Field("sponsor.collaborators", "protocolSection.sponsorCollaboratorsModule.collaborators", HEADLINE, items=_SPONSORS),
    # oversight
    Field("oversight.oversightHasDmc", "protocolSection.oversightModule.oversightHasDmc", DETAIL),
    Field("oversight.isFdaRegulatedDrug", "protocolSection.oversightModule.isFdaRegulatedDrug", DETAIL),
    Field("oversight.isFdaRegulatedDevice", "protocolSection.oversightModule.isFdaRegulatedDevice", DETAIL),
    Field("oversight.isUnapprovedDevice", "protocolSection.oversightModule.isUnapprovedDevice", DETAIL),
    Field("oversight.isPpsd", "protocolSection.oversightModule.isPpsd", DETAIL),
    Field("oversight.isUsExport", "protocolSection.oversightModule.isUsExport", DETAIL),
    Field("oversight.fdaaa801Violation", "protocolSection.oversightModule.fdaaa801Violation", DETAIL),
    # description
    Field("description.briefSummary", "protocolSection.descriptionModule.briefSummary", DETAIL),
    Field("description.detailedDescription", "protocolSection.descriptionModule.detailedDescription", DETAIL),
    # conditions
    Field("conditions.conditions", "protocolSection.conditionsModule.conditions", HEADLINE),
    Field("conditions.keywords", "protocolSection.conditionsModule.keywords", DETAIL),
    # design
    Field("design.studyType", "protocolSection.designModule.studyType", DETAIL),
    Field("design.nPtrsToThisExpAccNctId", "protocolSection.designModule.nPtrsToThisExpAccNctId", DETAIL),
    Field("design.expandedAccessTypesIndividual", "protocolSection.designModule.expandedAccessTypes.individual", DETAIL),
    Field("design.expandedAccessTypesIntermediate", "protocolSection.designModule.expandedAccessTypes.intermediate", DETAIL),
    Field("design.expandedAccessTypesTreatment", "protocolSection.designModule.expandedAccessTypes.treatment", DETAIL),
    Field("design.patientRegistry", "protocolSection.designModule.patientRegistry", DETAIL),
    Field("design.targetDuration", "protocolSection.designModule.targetDuration", DETAIL),
    Field("design.allocation", "protocolSection.designModule.designInfo.allocation", HEADLINE),
    Field("design.interventionModel", "protocolSection.designModule.designInfo.interventionModel", DETAIL),
    Field("design.interventionModelDescription", "protocolSection.designModule.designInfo.interventionModelDescription", DETAIL),
    Field("design.primaryPurpose", "protocolSection.designModule.designInfo.primaryPurpose", DETAIL),
    Field("design.observationalModel", "protocolSection.designModule.designInfo.observationalModel", DETAIL),
    Field("design.timePerspective", "protocolSection.designModule.designInfo.timePerspective", DETAIL),
    Field("design.masking", "protocolSection.designModule.designInfo.maskingInfo.masking", HEADLINE),
    Field("design.maskingDescription", "protocolSection.designModule.designInfo.maskingInfo.maskingDescription", DETAIL),
    Field("design.whoMasked", "protocolSection.designModule.designInfo.maskingInfo.whoMasked", DETAIL),
    Field("design.bioSpecRetention", "protocolSection.designModule.bioSpec.retention", DETAIL),
    Field("design.bioSpecDescription", "protocolSection.designModule.bioSpec.description", DETAIL),
    Field("design.enrollmentType", "protocolSection.designModule.enrollmentInfo.type", DETAIL),
    # outcomes
    Field("outcomes.other", "protocolSection.outcomesModule.otherOutcomes", DETAIL, items=_OUTCOMES),
    # eligibility
    Field("eligibility.healthyVolunteers", "protocolSection.eligibilityModule.healthyVolunteers", DETAIL),
    Field("eligibility.genderBased", "protocolSection.eligibilityModule.genderBased", DETAIL),
    Field("eligibility.genderDescription", "protocolSection.eligibilityModule.genderDescription", DETAIL),
    Field("eligibility.stdAges", "protocolSection.eligibilityModule.stdAges", DETAIL),
    Field("eligibility.studyPopulation", "protocolSection.eligibilityModule.studyPopulation", DETAIL),
    Field("eligibility.samplingMethod", "protocolSection.eligibilityModule.samplingMethod", DETAIL),
    # contacts
    Field("contacts.centralContacts", "protocolSection.contactsLocationsModule.centralContacts", HOUSEKEEPING, items=_CONTACTS),
    Field("contacts.overallOfficials", "protocolSection.contactsLocationsModule.overallOfficials", DETAIL, items=_OFFICIALS),
    # references
    Field("references.references", "protocolSection.referencesModule.references", DETAIL, items=_REFERENCES),
    Field("references.seeAlsoLinks", "protocolSection.referencesModule.seeAlsoLinks", DETAIL, items=_LINKS),
    Field("references.availIpds", "protocolSection.referencesModule.availIpds", DETAIL, items=_AVAIL_IPDS),
    # ipdSharingStatement
    Field("ipdSharingStatement.ipdSharing", "protocolSection.ipdSharingStatementModule.ipdSharing", DETAIL),
    Field("ipdSharingStatement.description", "protocolSection.ipdSharingStatementModule.description", DETAIL),
    Field("ipdSharingStatement.infoTypes", "protocolSection.ipdSharingStatementModule.infoTypes", DETAIL),
    Field("ipdSharingStatement.timeFrame", "protocolSection.ipdSharingStatementModule.timeFrame", DETAIL),
    Field("ipdSharingStatement.accessCriteria", "protocolSection.ipdSharingStatementModule.accessCriteria", DETAIL),
    Field("ipdSharingStatement.url", "protocolSection.ipdSharingStatementModule.url", DETAIL),
    # results.participantFlow
    Field("results.participantFlow.preAssignmentDetails", "resultsSection.participantFlowModule.preAssignmentDetails", DETAIL),
    Field("results.participantFlow.recruitmentDetails", "resultsSection.participantFlowModule.recruitmentDetails", DETAIL),
    Field("results.participantFlow.typeUnitsAnalyzed", "resultsSection.participantFlowModule.typeUnitsAnalyzed", DETAIL),
    Field("results.participantFlow.groups", "resultsSection.participantFlowModule.groups", DETAIL, items=_GROUPS),
    Field("results.participantFlow.periods", "resultsSection.participantFlowModule.periods", DETAIL, items=_PERIODS),
    # results.baselineCharacteristics
    Field(
        "results.baselineCharacteristics.populationDescription",
        "resultsSection.baselineCharacteristicsModule.populationDescription",
        DETAIL,
    ),
    Field("results.baselineCharacteristics.typeUnitsAnalyzed", "resultsSection.baselineCharacteristicsModule.typeUnitsAnalyzed", DETAIL),
    Field("results.baselineCharacteristics.groups", "resultsSection.baselineCharacteristicsModule.groups", DETAIL, items=_GROUPS),
    Field("results.baselineCharacteristics.denoms", "resultsSection.baselineCharacteristicsModule.denoms", DETAIL, items=_DENOMS),
    Field(
        "results.baselineCharacteristics.measures",
        "resultsSection.baselineCharacteristicsModule.measures",
        DETAIL,
        items=_BASELINE_MEASURES,
    ),
    # results.outcomeMeasures
    Field(
        "results.outcomeMeasures.outcomeMeasures", "resultsSection.outcomeMeasuresModule.outcomeMeasures", DETAIL, items=_OUTCOME_MEASURES
    ),
    # results.adverseEvents
    Field("results.adverseEvents.frequencyThreshold", "resultsSection.adverseEventsModule.frequencyThreshold", DETAIL),
    Field("results.adverseEvents.timeFrame", "resultsSection.adverseEventsModule.timeFrame", DETAIL),
    Field("results.adverseEvents.description", "resultsSection.adverseEventsModule.description", DETAIL),
    Field("results.adverseEvents.allCauseMortalityComment", "resultsSection.adverseEventsModule.allCauseMortalityComment", DETAIL),
    Field("results.adverseEvents.eventGroups", "resultsSection.adverseEventsModule.eventGroups", DETAIL, items=_EVENT_GROUPS),
    Field("results.adverseEvents.seriousEvents", "resultsSection.adverseEventsModule.seriousEvents", DETAIL, items=_ADVERSE_EVENTS),
    Field("results.adverseEvents.otherEvents", "resultsSection.adverseEventsModule.otherEvents", DETAIL, items=_ADVERSE_EVENTS),
    # results.moreInfo
    Field(
        "results.moreInfo.limitationsAndCaveatsDescription",
        "resultsSection.moreInfoModule.limitationsAndCaveats.description",
        DETAIL,
    ),
    Field("results.moreInfo.certainAgreementPiSponsorEmployee", "resultsSection.moreInfoModule.certainAgreement.piSponsorEmployee", DETAIL),
    Field("results.moreInfo.certainAgreementRestrictionType", "resultsSection.moreInfoModule.certainAgreement.restrictionType", DETAIL),
    Field(
        "results.moreInfo.certainAgreementRestrictiveAgreement",
        "resultsSection.moreInfoModule.certainAgreement.restrictiveAgreement",
        DETAIL,
    ),
    Field("results.moreInfo.certainAgreementOtherDetails", "resultsSection.moreInfoModule.certainAgreement.otherDetails", DETAIL),
    Field("results.moreInfo.pointOfContactTitle", "resultsSection.moreInfoModule.pointOfContact.title", HOUSEKEEPING),
    Field("results.moreInfo.pointOfContactOrganization", "resultsSection.moreInfoModule.pointOfContact.organization", HOUSEKEEPING),
    Field("results.moreInfo.pointOfContactEmail", "resultsSection.moreInfoModule.pointOfContact.email", HOUSEKEEPING),
    Field("results.moreInfo.pointOfContactPhone", "resultsSection.moreInfoModule.pointOfContact.phone", HOUSEKEEPING),
    Field("results.moreInfo.pointOfContactPhoneExt", "resultsSection.moreInfoModule.pointOfContact.phoneExt", HOUSEKEEPING),
    # annotation
    Field(
        "annotation.unpostedResponsibleParty",
        "annotationSection.annotationModule.unpostedAnnotation.unpostedResponsibleParty",
        HOUSEKEEPING,
        by=By.REGISTRY,
    ),
    Field(
        "annotation.unpostedEvents",
        "annotationSection.annotationModule.unpostedAnnotation.unpostedEvents",
        HOUSEKEEPING,
        items=_UNPOSTED,
        by=By.REGISTRY,
    ),
    Field(
        "annotation.violationEvents",
        "annotationSection.annotationModule.violationAnnotation.violationEvents",
        HOUSEKEEPING,
        items=_VIOLATIONS,
        by=By.REGISTRY,
    ),
    # documents
    Field("documents.noSap", "documentSection.largeDocumentModule.noSap", DETAIL),
    Field("documents.largeDocs", "documentSection.largeDocumentModule.largeDocs", DETAIL, items=_DOCUMENTS),
    # derived.misc
    Field("derived.misc.removedCountries", "derivedSection.miscInfoModule.removedCountries", HOUSEKEEPING, by=By.REGISTRY),
    Field(
        "derived.misc.estimatedResultsFirstSubmitDate",
        "derivedSection.miscInfoModule.submissionTracking.estimatedResultsFirstSubmitDate",
        HOUSEKEEPING,
        by=By.REGISTRY,
    ),
    Field(
        "derived.misc.firstMcpPostDate",
        "derivedSection.miscInfoModule.submissionTracking.firstMcpInfo.postDateStruct.date",
        HOUSEKEEPING,
        by=By.REGISTRY,
    ),
    Field(
        "derived.misc.firstMcpPostDateType",
        "derivedSection.miscInfoModule.submissionTracking.firstMcpInfo.postDateStruct.type",
        HOUSEKEEPING,
        by=By.REGISTRY,
    ),
    Field(
        "derived.misc.submissionInfos",
        "derivedSection.miscInfoModule.submissionTracking.submissionInfos",
        HOUSEKEEPING,
        items=_SUBMISSIONS,
        by=By.REGISTRY,
    ),
    # derived.conditionBrowse
    Field("derived.conditionBrowse.meshes", "derivedSection.conditionBrowseModule.meshes", HOUSEKEEPING, items=_MESH, by=By.REGISTRY),
    Field("derived.conditionBrowse.ancestors", "derivedSection.conditionBrowseModule.ancestors", HOUSEKEEPING, items=_MESH, by=By.REGISTRY),
    Field(
        "derived.conditionBrowse.browseLeaves",
        "derivedSection.conditionBrowseModule.browseLeaves",
        HOUSEKEEPING,
        items=_BROWSE_LEAVES,
        by=By.REGISTRY,
    ),
    Field(
        "derived.conditionBrowse.browseBranches",
        "derivedSection.conditionBrowseModule.browseBranches",
        HOUSEKEEPING,
        items=_BROWSE_BRANCHES,
        by=By.REGISTRY,
    ),
    # derived.interventionBrowse
    Field("derived.interventionBrowse.meshes", "derivedSection.interventionBrowseModule.meshes", HOUSEKEEPING, items=_MESH, by=By.REGISTRY),
    Field(
        "derived.interventionBrowse.ancestors",
        "derivedSection.interventionBrowseModule.ancestors",
        HOUSEKEEPING,
        items=_MESH,
        by=By.REGISTRY,
    ),
    Field(
        "derived.interventionBrowse.browseLeaves",
        "derivedSection.interventionBrowseModule.browseLeaves",
        HOUSEKEEPING,
        items=_BROWSE_LEAVES,
        by=By.REGISTRY,
    ),
    Field(
        "derived.interventionBrowse.browseBranches",
        "derivedSection.interventionBrowseModule.browseBranches",
        HOUSEKEEPING,
        items=_BROWSE_BRANCHES,
        by=By.REGISTRY,
    ),
)

_BY_NAME: Final = {each.name: each for each in FIELDS}
_ORDER: Final = {each.name: position for position, each in enumerate(FIELDS)}
CORE: Final = tuple(each.name for each in FIELDS if each.core)
"""The core fields' names, in the order of the study page."""

PRESENCE: Final = "registry.presence"
"""The field of a study's presence in the registry; its values are those of ``Presence``."""

WATCH_PREFIX: Final = "watch."
"""What the name of a watch's membership field begins with."""

ABOUT_THE_WHOLE: Final = (
    Field(PRESENCE, "", HEADLINE, by=By.REGISTRY),
    Field(f"{WATCH_PREFIX}<name>", "", HEADLINE),
)
"""What the log says of a study as a whole: it stands in no record, so it has no path."""


def by_name(name: str) -> Field | None:
    """Return the table's field of that name, or ``None``."""
    return _BY_NAME.get(name)


def order(name: str) -> int:
    """Return a field's place in the vocabulary; fields that the table does not have come last."""
    return _ORDER.get(name, len(FIELDS))
